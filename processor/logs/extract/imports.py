"""Python modules that can't be imported, by the distributions that they usually come from."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

MODULE = r"(?P<name>[A-Za-z_]\w*)"
DOTTED = r"(?P<name>[A-Za-z_]\w*(?:\.\w+)*)"

MODULES = {
    "absl": "absl-py", "allauth": "django-allauth", "apiclient": "google-api-python-client", "attr": "attrs",
    "bluetooth": "pybluez", "bs4": "beautifulsoup4", "bson": "pymongo", "builtins": "future", "cairo": "pycairo",
    "caffe2": "torch", "community": "python-louvain", "consul": "python-consul", "corsheaders": "django-cors-headers",
    "crispy_forms": "django-crispy-forms", "Crypto": "pycryptodome", "Cryptodome": "pycryptodomex",
    "cv2": "opencv-python", "dateutil": "python-dateutil", "debug_toolbar": "django-debug-toolbar",
    "discord": "discord.py", "distutils": "setuptools", "django_filters": "django-filter", "docx": "python-docx",
    "dotenv": "python-dotenv", "environ": "django-environ", "faiss": "faiss-cpu", "fitz": "pymupdf", "gi": "pygobject",
    "git": "gitpython", "github": "pygithub", "gitlab": "python-gitlab",
    "google.cloud.bigquery": "google-cloud-bigquery", "google.cloud.storage": "google-cloud-storage",
    "google.protobuf": "protobuf", "googleapiclient":
    "google-api-python-client", "grpc": "grpcio", "grpc_status": "grpcio-status", "grpc_tools": "grpcio-tools",
    "Image": "pillow", "imblearn": "imbalanced-learn", "import_export": "django-import-export", "jenkins":
    "python-jenkins", "jose": "python-jose", "jwt": "pyjwt", "ldap": "python-ldap", "magic": "python-magic",
    "memcache": "python-memcached", "mpl_toolkits": "matplotlib", "mptt": "django-mptt", "multipart":
    "python-multipart", "MySQLdb": "mysqlclient", "nacl": "pynacl", "nmap": "python-nmap", "OpenGL": "pyopengl",
    "OpenSSL": "pyopenssl", "osgeo": "gdal", "past": "future", "phonenumber_field": "django-phonenumber-field",
    "PIL": "pillow", "pkg_resources": "setuptools", "pptx": "python-pptx", "pylab": "matplotlib", "pymysql": "pymysql",
    "pytorch_lightning": "pytorch-lightning", "pythoncom": "pywin32", "pywintypes": "pywin32", "rest_framework":
    "djangorestframework", "RPi": "rpi.gpio", "ruamel": "ruamel.yaml", "serial": "pyserial", "shapefile": "pyshp",
    "skimage": "scikit-image", "sklearn": "scikit-learn", "skopt": "scikit-optimize", "slugify": "python-slugify",
    "snappy": "python-snappy", "socketio": "python-socketio", "socks": "pysocks", "storages": "django-storages",
    "taggit": "django-taggit", "telegram": "python-telegram-bot", "umap": "umap-learn", "usb": "pyusb",
    "win32api": "pywin32", "win32com": "pywin32", "win32con": "pywin32", "wx": "wxpython", "xdist": "pytest-xdist",
    "yaml": "pyyaml", "zmq": "pyzmq",
}  # fmt: skip
"""Import names that differ from the distribution's, in its normal form (PEP 503), in a way that everybody meets."""

DASHED = ("pytest_", "django_", "flask_", "google_", "azure_", "sphinx_", "mkdocs_", "types_")
"""Families of distributions with dashes whose modules have underscores."""

FIXTURES = {
    "aiohttp_client": "pytest-aiohttp", "benchmark": "pytest-benchmark", "celery_app": "pytest-celery",
    "django_db_setup": "pytest-django", "event_loop": "pytest-asyncio", "freezer": "pytest-freezer",
    "httpserver": "pytest-httpserver", "httpx_mock": "pytest-httpx", "mocker": "pytest-mock", "qtbot": "pytest-qt",
    "requests_mock": "requests-mock",
}  # fmt: skip
"""Fixtures that plug-ins of pytest bring."""

OPTIONS = {
    "--asyncio-mode": "pytest-asyncio", "--benchmark-only": "pytest-benchmark", "--cov": "pytest-cov", "--ds":
    "pytest-django", "--flake8": "pytest-flake8", "--html": "pytest-html", "--mypy": "pytest-mypy", "--nbval":
    "nbval", "--randomly-seed": "pytest-randomly", "--reruns": "pytest-rerunfailures", "--timeout":
    "pytest-timeout", "-n": "pytest-xdist", "--numprocesses": "pytest-xdist", "--dist": "pytest-xdist",
    "--snapshot-update": "syrupy", "--black": "pytest-black", "--pylint": "pytest-pylint",
}  # fmt: skip
"""Options that plug-ins of pytest bring."""


def distribution(module: str) -> str:
    """The distribution that a module usually comes from."""
    top = module.partition(".")[0]
    known = MODULES.get(".".join(module.split(".")[:3])) or MODULES.get(".".join(module.split(".")[:2]))
    if known or top in MODULES:
        return known or MODULES[top]
    return top.replace("_", "-") if top.startswith(DASHED) else top


def fixture(name: str) -> str:
    """The plug-in of pytest that brings a fixture, "" if that is not known."""
    return FIXTURES.get(name, "")


def option(name: str) -> str:
    """The plug-in of pytest that brings an option, "" if that is not known."""
    return OPTIONS.get(name.partition("=")[0].rstrip("0123456789")) or next(
        (plugin for known, plugin in OPTIONS.items() if name.startswith(f"{known}-")), ""
    )


def module(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for a module, named by what one would install."""
    return package("pypi", regex, weight, cue=cue, clean=distribution)


PATTERNS: tuple[Pattern, ...] = (
    module(rf"(?:ModuleNotFound|Import)Error: No module named '?\"?{DOTTED}", 0.85),
    module(rf"[Nn]o module named ['\"]?{DOTTED}", 0.8),
    module(rf"cannot import name .* from '{DOTTED}' \(\S*(?:site|dist)-packages/", 0.8),
    module(rf"cannot import name .* from '{DOTTED}", 0.65),
    module(rf"DLL load failed while importing {DOTTED}", 0.75),
    module(rf"AttributeError: (?:partially initialized )?module '{DOTTED}' has no attribute", 0.62),
    module(r"(?P<name>numpy)\.dtype size changed", 0.85),
    module(r"compiled using (?P<name>NumPy) 1\.x cannot be run in", 0.9),
    module(rf"(?:site|dist)-packages/{MODULE}/", 0.2),
    module(rf"[Uu]nable to import '{DOTTED}'", 0.75),
    module(rf"Could not import extension {DOTTED}", 0.8),
    module(rf"ibrary stub for module named \"{DOTTED}\"", 0.75),
    module(rf"[Ss]kipping analyzing [\"']{DOTTED}", 0.7),
    package(
        "pypi",
        r"[Ll]ibrary stubs not installed for \"(?P<name>\w+)",
        0.8,
        clean=lambda name: f"types-{distribution(name)}",
    ),
    package("pypi", r"fixture '(?P<name>\w+)' not found", 0.8, clean=fixture),
    package("pypi", r"error: unrecognized arguments: (?P<name>--?[\w-]+)", 0.8, clean=option),
    package("pypi", r"(?P<name>sphinx_rtd_theme) is no longer a hard dependency", 0.9),
    package("pypi", r"no theme named '(?P<name>[\w-]+)' found", 0.85),
    package("pypi", r"The \"(?P<name>[\w.-]+)\" plugin is not installed", 0.85),
    package("pypi", r"invalid command '(?P<name>bdist_wheel)'", 0.85, clean=lambda _: "wheel"),
    package(
        "pypi",
        r"(?:rror|ERROR|issing|required|not (?:installed|found)).*pip3? install (?:-[\w-]+ )*['\"`]?"
        r"(?P<name>(?!-)[A-Za-z][\w.-]*\w)",
        0.8,
    ),
    package("pypi", r"pip3? install (?:-[\w-]+ )*['\"`](?P<name>[A-Za-z][\w.-]*\w)", 0.45),
)
