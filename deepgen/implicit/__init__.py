"""Models whose density is not in closed form: what they draw passes through a network from a simpler law."""

from deepgen.implicit.calibration import Calibration, calibrate
from deepgen.implicit.conditions import Concatenated, Projected
from deepgen.implicit.cvae import CVAE, GivenContext
from deepgen.implicit.dcgan import DCGANDiscriminator, DCGANGenerator
from deepgen.implicit.decoder import Decoder
from deepgen.implicit.dense import DenseNet
from deepgen.implicit.gan import GAN, Given
from deepgen.implicit.gan_chain import Rejected, latent_langevin, latent_target, mh_gan, rejection
from deepgen.implicit.likelihoods import Bernoulli, Categorical, Gaussian, LogisticMixture
from deepgen.implicit.networks import ConvDecoder, ConvEncoder, Dense
from deepgen.implicit.posteriors import DiagonalGaussian, FullGaussian
from deepgen.implicit.ready import conv_vae, mlp_cvae, mlp_vae
from deepgen.implicit.resnet import ResNetDiscriminator, ResNetGenerator
from deepgen.implicit.rounded import Rounded
from deepgen.implicit.semi_supervised import SemiSupervised
from deepgen.implicit.spectral import SpectralNorm
from deepgen.implicit.vae import VAE
from deepgen.implicit.vamp import VampPrior

__all__ = [
    "CVAE",
    "GAN",
    "VAE",
    "Bernoulli",
    "Calibration",
    "Categorical",
    "Concatenated",
    "ConvDecoder",
    "ConvEncoder",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "Decoder",
    "Dense",
    "DenseNet",
    "DiagonalGaussian",
    "FullGaussian",
    "Gaussian",
    "Given",
    "GivenContext",
    "LogisticMixture",
    "Projected",
    "Rejected",
    "ResNetDiscriminator",
    "ResNetGenerator",
    "Rounded",
    "SemiSupervised",
    "SpectralNorm",
    "VampPrior",
    "calibrate",
    "conv_vae",
    "latent_langevin",
    "latent_target",
    "mh_gan",
    "mlp_cvae",
    "mlp_vae",
    "rejection",
]
