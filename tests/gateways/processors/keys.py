"""One RSA key pair for tests, always the same: its signatures can stand in golden files."""

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

_P = int(
    "df4d2d751c37959114069fb1568656dc40d3e0e3370239b307ca849a2dfd97b558ee5d047abb47d823c5567b38624dd68ba9"
    "fde8fd6acd34d2e89a738d22b6d51d8472ed654fba416de2d72f55fe39f63d13d4100280bbaa47cb492cd2331ef830354a88"
    "aff095cf7476aa7479dfefaaf1ca1683049aa0863b382d00369f07af",
    16,
)
_Q = int(
    "b5a7dc9a54a06760adc332267d67c8054a9a188a2bc90feba80f9ba86cc8931ea5d51c14ab2e94abe0dca7956461f7961703"
    "a0dd417f2fb267650581ccb92f97caba36fd4c1a41a996a15ac58781ba8ed117f5700f4cd2afc0e8e42b701eb4749bb74e0c"
    "00a60f9fca47ce01a29c541b53c3228ad82ba748e5074db4561ecfd5",
    16,
)


def _key() -> rsa.RSAPrivateKey:
    exponent = 65537
    private = pow(exponent, -1, (_P - 1) * (_Q - 1))
    return rsa.RSAPrivateNumbers(
        _P,
        _Q,
        private,
        rsa.rsa_crt_dmp1(private, _P),
        rsa.rsa_crt_dmq1(private, _Q),
        rsa.rsa_crt_iqmp(_P, _Q),
        rsa.RSAPublicNumbers(exponent, _P * _Q),
    ).private_key()


KEY = _key()
PRIVATE_PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC_PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
