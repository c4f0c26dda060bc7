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
    # Of v3.0 and v3.2. Numbers up to 100 are for those of v2.40.
    EDWARDS_PUBLIC = 101
    EDWARDS_PRIVATE = 102
    CHACHA20 = 103
    ML_KEM_PUBLIC = 104
    ML_KEM_PRIVATE = 105
    ML_DSA_PUBLIC = 106
    ML_DSA_PRIVATE = 107
    SLH_DSA_PUBLIC = 108
    SLH_DSA_PRIVATE = 109
    DES = 8
    DES2 = 9
    DES3 = 10
    DSA_PUBLIC = 11
    DSA_PRIVATE = 12
    DH_PUBLIC = 13
    DH_PRIVATE = 14
    DSA_PARAMETERS = 15
    DH_PARAMETERS = 16
