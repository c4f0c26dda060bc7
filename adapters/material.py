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
