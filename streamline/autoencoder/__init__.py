"""Linear autoencoders trained by back-propagation: the only package that trains with torch.

Nothing imports it by name: it is loaded when a fit asks for FRE-AE or FRE-AEt.
"""

from streamline.autoencoder.train import Trained, train_autoencoder

__all__ = ["Trained", "train_autoencoder"]
