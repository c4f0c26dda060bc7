"""What an object can be."""

from enum import IntEnum


class Kind(IntEnum):
    """What an object is: its class, and the key type of a key (4.4 to 4.11)."""

    DATA = 0
    CERTIFICATE = 1
    GENERIC_SECRET = 2
    AES = 3
    RSA_PUBLIC = 4
    RSA_PRIVATE = 5
    EC_PUBLIC = 6
    EC_PRIVATE = 7
    DES = 8
    DES2 = 9
    DES3 = 10
    DSA_PUBLIC = 11
    DSA_PRIVATE = 12
    DH_PUBLIC = 13
    DH_PRIVATE = 14
    DSA_PARAMETERS = 15
    DH_PARAMETERS = 16
