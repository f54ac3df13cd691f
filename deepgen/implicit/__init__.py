"""Models whose density is not in closed form: what they draw passes through a network from a simpler law."""

from deepgen.explicit.stack import rbm_stack
from deepgen.implicit.autoencoder import Autoencoder
from deepgen.implicit.autoencoders import conv_autoencoder, mlp_autoencoder
from deepgen.implicit.calibration import Calibration, calibrate
from deepgen.implicit.conditions import Concatenated, Projected
from deepgen.implicit.corruption import Corruption, GaussianNoise, Masking, SaltAndPepper
from deepgen.implicit.cvae import CVAE, GivenContext
from deepgen.implicit.dcgan import DCGANDiscriminator, DCGANGenerator
from deepgen.implicit.decoder import Decoder
from deepgen.implicit.denoising_chain import DenoisingChain
from deepgen.implicit.gan import GAN, Given
from deepgen.implicit.gan_chain import Rejected, latent_langevin, latent_target, mh_gan, rejection
from deepgen.implicit.likelihoods import Bernoulli, Categorical, Gaussian, LogisticMixture
from deepgen.implicit.paths import at_places, interpolate, lerp, slerp, traverse
from deepgen.implicit.posteriors import DiagonalGaussian, FullGaussian
from deepgen.implicit.ready import conv_cvae, conv_vae, mlp_cvae, mlp_vae
from deepgen.implicit.resnet import ResNetDiscriminator, ResNetGenerator
from deepgen.implicit.rounded import Rounded
from deepgen.implicit.semi_supervised import SemiSupervised
from deepgen.implicit.spectral import SpectralNorm
from deepgen.implicit.tied import TiedDense
from deepgen.implicit.unrolled import classifier, unrolled
from deepgen.implicit.vae import VAE
from deepgen.implicit.vamp import VampPrior
from deepgen.layers.conv_decoder import ConvDecoder
from deepgen.layers.conv_encoder import ConvEncoder
from deepgen.layers.dense import Dense

__all__ = [
    "CVAE",
    "GAN",
    "VAE",
    "Autoencoder",
    "Bernoulli",
    "Calibration",
    "Categorical",
    "Concatenated",
    "ConvDecoder",
    "ConvEncoder",
    "Corruption",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "Decoder",
    "DenoisingChain",
    "Dense",
    "DiagonalGaussian",
    "FullGaussian",
    "Gaussian",
    "GaussianNoise",
    "Given",
    "GivenContext",
    "LogisticMixture",
    "Masking",
    "Projected",
    "Rejected",
    "ResNetDiscriminator",
    "ResNetGenerator",
    "Rounded",
    "SaltAndPepper",
    "SemiSupervised",
    "SpectralNorm",
    "TiedDense",
    "VampPrior",
    "at_places",
    "calibrate",
    "classifier",
    "conv_autoencoder",
    "conv_cvae",
    "conv_vae",
    "interpolate",
    "latent_langevin",
    "latent_target",
    "lerp",
    "mh_gan",
    "mlp_autoencoder",
    "mlp_cvae",
    "mlp_vae",
    "rbm_stack",
    "rejection",
    "slerp",
    "traverse",
    "unrolled",
]
