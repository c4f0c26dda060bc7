"""Key material and a certificate for objects that calls create. Made for tests: none of it guards anything."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rsa:
    """An RSA key, its numbers as Cryptoki has them: big-endian bytes without a sign."""

    modulus: bytes
    public_exponent: bytes
    private_exponent: bytes
    prime_1: bytes
    prime_2: bytes
    exponent_1: bytes
    exponent_2: bytes
    coefficient: bytes


def _rsa(p: int, q: int, e: int) -> Rsa:
    def numbers(*values: int) -> list[bytes]:
        return [value.to_bytes((value.bit_length() + 7) // 8) for value in values]

    d = pow(e, -1, (p - 1) * (q - 1))
    return Rsa(*numbers(p * q, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p)))


_P = (
    "e2629a64e8d95b0338069b5ea9456b4cd602674df5783e44637c079a1d706243819ee3d362f4316c031f7f9c1f9a2abca10da232"
    "4ca36cb09ddd49fb3f446f58b9cac4c561b8da8f61da4c99bb43afc617b226b3ae859f142ef92b8e792f1774cfa12604a8d2259b"
    "69a02d61eb46d7a6733c292c0d0a25611b580b37230a5b8d"
)
_Q = (
    "d8ee54d5a3bc00b0725edad6c237579d1eed6ac7ba0fa62327f5c74309e5ee735b8b4d5a781312471beda681d53fc7bb71d290e3"
    "a3865c3f75615d4863c9ce419de71de11d75648f76c0a6493bf57dd0cc90210f6a26ed96c6362c928540ffa4ff28a391a9a46378"
    "3da771c14608a0f0bed214e5c3e128222d7361c90105e64f"
)
RSA: Final = _rsa(int(_P, 16), int(_Q, 16), 65537)
MODULUS_BYTES: Final = len(RSA.modulus)
"""Length of every RSA modulus, created or generated."""

AES: Final = bytes(range(32))
SECRET: Final = bytes(range(32, 52))


@dataclass(frozen=True, slots=True)
class Group:
    """The domain parameters of DSA or Diffie-Hellman keys; no subprime is empty bytes."""

    prime: bytes
    subprime: bytes
    base: bytes

    def public(self, private: int) -> bytes:
        """The public value that goes with a private one."""
        prime = int.from_bytes(self.prime)
        return pow(int.from_bytes(self.base), private, prime).to_bytes(len(self.prime))


DSA: Final = Group(
    bytes.fromhex(
        "9463d4a8d9e3d17575cc83e43827ffaed3d38f9553f2d8ad1c3475e1e884306352cd868522deafd73f54707d96d0dbc61190487a"
        "e5e307a10d44d36f88eb7bdbf92552bec0fc6cad956067c5b09e5525e7bd56203e9c1aa4186600fc002f2defa9bbe59ba8d51499"
        "e147a9fc8834219caab9f5a42075e5e288bc58d0508dd2afab82059778fa39beab1e5f5f80161bdecd7f866cc88072972278cf7b"
        "3973bf09ad138b36606b388a52d030e2a34064cbdc765a5862c6de7368beaa1b0fc1137d67f4a2deb198bb7ef6c8a17404bb8818"
        "48f22537f42933d9c0cb730f1160f5ad6b7eb9c03476f553bfab7bcb37f0cfab7c25bec787e948b880e07fd0b53e3077"
    ),
    bytes.fromhex("9f569eba324e588d40e1795179db237b0a67ccbabb5f38b0f2a31cdfb3e4c14b"),
    bytes.fromhex(
        "0a9da000281f96570a6ea9ba2fc4a54df8dddfd5fc4516961ff9823ec46c03fdb831db5b0b736cc83c4eff732d255d5f57ee2a4b"
        "558cd178d5884631bbf7fa861b1040f50ea4ecb1853b9500c67d52e4ad7862e4f2cbd5703f4f9c068cc72a4980f776d8a3935a83"
        "1afb9727062c861eacb58f98a7a3d37ba9d0732267f7a41c702094a2e15f9db114cb2894b903855c15643e58bc4eae3cb403e418"
        "612746e85b119eada5890311bf48e0b8df6eb21fbad4661931fff9835c13b793bda6009273e797930fefe4cdae2e56f298876a98"
        "b6ebab3cd1f17577b82e122812eab7802e123484c9affb3881dfe04745c1a172bf28234f5c68db5565764c1b2342d468"
    ),
)
"""A prime of 2048 bits, with a subprime of 256."""

DH: Final = Group(
    bytes.fromhex(
        "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3"
        "cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb5a899fa5"
        "ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356"
        "208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3be39e772c180e86039b2783a2ec07a28f"
        "b5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff"
    ),
    b"",
    b"\2",
)
"""The group of 2048 bits that RFC 3526 gives."""

PRIVATE_VALUE: Final = bytes(range(1, 29))
"""The private value of every DSA and Diffie-Hellman key here."""

DES: Final = bytes((0x01, 0x02, 0x04, 0x07, 0x08, 0x0B, 0x0D, 0x0E))
DES2: Final = DES + bytes((0x10, 0x13, 0x15, 0x16, 0x19, 0x1A, 0x1C, 0x1F))
DES3: Final = DES2 + bytes((0x20, 0x23, 0x25, 0x26, 0x29, 0x2A, 0x2C, 0x2F))
"""Keys of odd parity, the parts of which differ."""

P256: Final = bytes.fromhex("06082a8648ce3d030107")
"""The curve P-256, as CKA_EC_PARAMS names it: a DER object identifier."""

ED25519: Final = bytes.fromhex("06032b6570")
"""The curve of Ed25519, likewise."""

EC_SCALAR: Final = bytes.fromhex("6913d2c8e04f7bf8bf0183abc4f06c3ff5031bc2a5a2c19a5a1822b7ad21e297")
_POINT = bytes.fromhex(
    "04f094082c4adc3668e6ed4940a3405e8bc30eb157ea6a1226a2e19e947d0fd73d24953332f8a226abd674d6db2fd82287fdffc3"
    "bd017e7ec636ff6f41a1691770"
)
EC_POINT: Final = bytes((0x04, len(_POINT))) + _POINT
"""The public half of `EC_SCALAR`, as CKA_EC_POINT has it: a DER octet string."""

PEER_POINT: Final = bytes.fromhex(
    "045820663031e623e08acc531a09a3b235e6a86f5773072f11767a32f296bdc36c642a59d8fcc75dfb25dc1bd951a468c665dd0a"
    "e20e8ad748b78526dbb7cb0324"
)
"""A public point of somebody else's, uncompressed, for ECDH."""

OFF_CURVE: Final = PEER_POINT[:-1] + bytes((PEER_POINT[-1] ^ 1,))
"""A point that is not on the curve."""

CERTIFICATE: Final = bytes.fromhex(
    "308201143081ba020101300a06082a8648ce3d04030230153113301106035504030c0a703131636f6e666f726d3020170d323631"
    "3132313232313231305a180f32313236313032383232313231305a30153113301106035504030c0a703131636f6e666f726d3059"
    "301306072a8648ce3d020106082a8648ce3d03010703420004f094082c4adc3668e6ed4940a3405e8bc30eb157ea6a1226a2e19e"
    "947d0fd73d24953332f8a226abd674d6db2fd82287fdffc3bd017e7ec636ff6f41a1691770300a06082a8648ce3d040302034900"
    "3046022100a012d6987ed4663d0b78eef43f93ad6e2a2e4bc785ea84989c789346e94d2257022100bfc39fc194596e5e5223fa61"
    "b97b845fcb7ef014f8cf5c5f908d062220f1ff24"
)
"""A self-signed X.509 certificate of the key `EC_SCALAR`, in DER."""

NAME: Final = bytes.fromhex("30153113301106035504030c0a703131636f6e666f726d")
SERIAL_NUMBER: Final = bytes.fromhex("020101")
"""Subject and issuer of the certificate, and its serial number, in DER."""
