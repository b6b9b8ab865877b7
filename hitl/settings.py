"""Settings: one file; every knob is an environment variable with a safe default. docs/configuration.md lists them."""

import json
from pathlib import Path
from typing import Any

import environ
from django.templatetags.static import static
from django.urls import reverse
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# Home: everything this installation writes (database, keys, broker folders, demo credentials).
HITL_HOME = Path(env.str("HITL_HOME", default=str(BASE_DIR / "var"))).absolute()


def _generated(name: str) -> Any:
    """A value of `var/keys.json`, which `manage.py up` generates on first start (mode 0600).

    An absent or broken file gives nothing: `up` says what is wrong with it, and hitl.E001 stops everything else.
    """
    try:
        return dict(json.loads((HITL_HOME / "keys.json").read_text())).get(name)
    except (OSError, ValueError, TypeError):
        return None


# Secrets. Without them the process may run commands that need none (such as `up`, which makes them); the system
# check hitl.E001 stops everything else.
HITL_NO_SECRET_KEY = "insecure-no-key-was-generated-yet"  # noqa: S105  (it says so itself)
SECRET_KEY = env.str("HITL_SECRET_KEY", default=_generated("secret_key") or HITL_NO_SECRET_KEY)
HITL_ENCRYPTION_KEYS: list[str] = env.list("HITL_ENCRYPTION_KEYS", default=_generated("encryption_keys") or [])
HITL_DIGEST_KEY = env.str("HITL_DIGEST_KEY", default=_generated("digest_key") or "")
HITL_SIGNING_KEY = env.str("HITL_SIGNING_KEY", default=_generated("signing_key") or "")
# Public halves (base64) of signing keys used before: their checkpoints still count.
HITL_RETIRED_SIGNING_KEYS: list[str] = env.list("HITL_RETIRED_SIGNING_KEYS", default=[])

DEBUG = env.bool("HITL_DEBUG", default=False)
# The address and port that `manage.py up` serves, and the one that people and links use.
HITL_BIND = env.str("HITL_BIND", default="127.0.0.1")
HITL_BASE_URL = env.str("HITL_BASE_URL", default=f"http://127.0.0.1:{env.str('PORT', default='8000')}").rstrip("/")
ALLOWED_HOSTS: list[str] = env.list("HITL_ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("HITL_CSRF_TRUSTED_ORIGINS", default=[])
HITL_HTTPS = env.bool("HITL_HTTPS", default=HITL_BASE_URL.startswith("https://"))
# Addresses of proxies whose X-Forwarded-For is believed; empty: the connection's own address counts.
HITL_TRUSTED_PROXIES: list[str] = env.list("HITL_TRUSTED_PROXIES", default=[])

# Outside
HITL_WEBHOOK_URL = env.str("HITL_WEBHOOK_URL", default="")
HITL_WEBHOOK_SECRET = env.str("HITL_WEBHOOK_SECRET", default="")
HITL_ALLOW_PRIVATE_HOSTS: list[str] = env.list("HITL_ALLOW_PRIVATE_HOSTS", default=[])
HITL_WEBHOOK_TIMEOUT = env.float("HITL_WEBHOOK_TIMEOUT", default=15.0)

# Mail to people: smtp://host:25, smtp+tls://user:password@host:587 (STARTTLS) or smtp+ssl://...; empty: none is sent.
HITL_EMAIL_URL = env.str("HITL_EMAIL_URL", default="")
HITL_EMAIL_FROM = env.str("HITL_EMAIL_FROM", default="Human task queue <tasks@localhost>")
EMAIL_TIMEOUT = 15
if HITL_EMAIL_URL:
    globals().update(environ.Env.email_url_config(HITL_EMAIL_URL))
DEFAULT_FROM_EMAIL = SERVER_EMAIL = HITL_EMAIL_FROM

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "hitl.site.ConsoleConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "auditlog",
    "axes",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "core",
    "tasks_app",
    "notifications",
    "hitl",
]

MIDDLEWARE = [
    "hitl.middleware.RequestContextMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "hitl.middleware.ContentPolicyMiddleware",
    "hitl.health.HealthMiddleware",
    "hitl.middleware.BrowserSessions",
    "hitl.middleware.SlashMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "hitl.middleware.BrowserLogins",
    "hitl.middleware.ReaderMiddleware",
    "hitl.middleware.BrowserMessages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "hitl.urls"
WSGI_APPLICATION = "hitl.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Database: SQLite in the home folder, or DATABASE_URL (PostgreSQL).
DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{HITL_HOME / 'hitl.sqlite3'}")}
_database: dict[str, Any] = DATABASES["default"]
_database["CONN_HEALTH_CHECKS"] = True
if _database["ENGINE"] == "django.db.backends.sqlite3":
    _database["ENGINE"] = "core.sqlite"
    _database["CONN_MAX_AGE"] = None
    _database["OPTIONS"] = {
        # A write transaction takes its lock at BEGIN: a deferred one that upgrades fails with "database is locked".
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        # recursive_triggers: without it REPLACE INTO deletes a row past the append-only trigger.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA recursive_triggers=ON; PRAGMA synchronous=FULL;",
    }
else:
    if _database["ENGINE"] == "django.db.backends.postgresql":
        _database["ENGINE"] = "core.postgresql"
    _database["CONN_MAX_AGE"] = env.int("HITL_CONN_MAX_AGE", default=300)
    _database["TEST"] = {"TEMPLATE": "template0"}
    # A server that does not answer makes /readyz say so within seconds, not after the kernel's two minutes.
    _database.setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
# Whether the busiest statements are prepared on the server; a pooler that shares connections must allow it.
HITL_PREPARED_STATEMENTS = env.bool("HITL_PREPARED_STATEMENTS", default=True)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Login
AUTH_USER_MODEL = "tasks_app.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_HTTP_RESPONSE_CODE = 429
AXES_CLIENT_IP_CALLABLE = "core.requests.client_address"
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# Browser hardening (hitl.middleware.ContentPolicyMiddleware relaxes the policy where the console and the docs need it)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HITL_HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_HSTS_SECONDS = 31536000 if HITL_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HITL_HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HITL_TRUSTED_PROXIES else None
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}

# Language and time: stored in UTC; the console speaks the reader's language and zone, the API English and UTC
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["hitl.formats"]
TIME_ZONE = "UTC"
USE_I18N = USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = HITL_HOME / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True

# Jobs. The database row is the queue; the broker only wakes the worker.
REDIS_URL = env.str("REDIS_URL", default="")
CELERY_BROKER_URL = REDIS_URL or "filesystem://localhost"
_broker_folder = HITL_HOME / "broker"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    {"socket_connect_timeout": 0.5, "socket_timeout": 5, "visibility_timeout": 3600}
    if REDIS_URL
    else {
        "data_folder_in": str(_broker_folder / "queue"),
        "data_folder_out": str(_broker_folder / "queue"),
        "processed_folder": str(_broker_folder / "temp"),
        "polling_interval": 0.1,
    }
)
if not REDIS_URL:
    CELERY_BROKER_TRANSPORT = "hitl.broker:Transport"
    CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "timers"
CELERY_TASK_ROUTES = {"notifications.jobs.*": {"queue": "deliveries"}}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(HITL_HOME / "beat-schedule")
HITL_SWEEP_SECONDS = env.float("HITL_SWEEP_SECONDS", default=5.0)
# How long an event may wait for the checkpoint that seals it (docs/audit.md).
HITL_CHECKPOINT_SECONDS = env.float("HITL_CHECKPOINT_SECONDS", default=300.0)
CELERY_BEAT_SCHEDULE = {
    "sweep-timers": {
        "task": "tasks_app.jobs.sweep_timers",
        "schedule": HITL_SWEEP_SECONDS,
        "options": {"expires": 60},
    },
    "drain-outbox": {
        "task": "notifications.jobs.drain",
        "schedule": HITL_SWEEP_SECONDS,
        "options": {"expires": 60},
    },
    "make-checkpoint": {
        "task": "tasks_app.jobs.make_checkpoint",
        "schedule": HITL_CHECKPOINT_SECONDS,
        "options": {"expires": 300},
    },
    "recompute-deadlines": {
        "task": "tasks_app.jobs.recompute_deadlines",
        "schedule": HITL_SWEEP_SECONDS,
        "options": {"expires": 60},
    },
    "return-stranded": {
        "task": "tasks_app.jobs.return_stranded",
        "schedule": 15.0,
        "options": {"expires": 60},
    },
    "roll-up": {"task": "tasks_app.jobs.roll_up", "schedule": 15.0, "options": {"expires": 60}},
    "retire": {"task": "tasks_app.jobs.retire", "schedule": 3600.0, "options": {"expires": 1800}},
    "tidy-up": {"task": "tasks_app.jobs.tidy_up", "schedule": 3600.0, "options": {"expires": 1800}},
}

CACHES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "hitl"}
}
if REDIS_URL:
    CACHES["default"] = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        # A Redis that hangs must not hold up requests: the rate limit lets them pass without it.
        "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 0.5},
    }

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "tasks_app.api.authentication.BearerAuthentication",
        "tasks_app.api.authentication.ConsoleSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["core.api.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["core.api.JSONRenderer"],
    "DEFAULT_THROTTLE_CLASSES": ["tasks_app.api.throttling.TokenThrottle"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "core.api.problem_handler",
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
# How long a decision of the deck can be taken back before the server carries it out; 0: decided at once.
HITL_UNDO_SECONDS = env.float("HITL_UNDO_SECONDS", default=10.0)
# How often a process looks whether tokens, grants or the catalogue have changed; 0: it remembers nothing.
HITL_LOOKUP_SECONDS = env.float("HITL_LOOKUP_SECONDS", default=1.0)
# Of how many of the newest events the feed's texts are held ready; 0: of none (tasks_app/feed.py). PostgreSQL only.
HITL_FEED_READY = env.int("HITL_FEED_READY", default=100_000)
# What a Prometheus server sends as bearer token to read /metrics; empty: switched off.
HITL_METRICS_TOKEN = env.str("HITL_METRICS_TOKEN", default="")
# A request that waited this many seconds for its turn is answered 503 with Retry-After; 0: never (hitl/overload.py).
HITL_MAX_WAIT_SECONDS = env.float("HITL_MAX_WAIT_SECONDS", default=1.0)
# Requests per minute and token; 0 switches the limit off.
HITL_RATE_LIMIT = env.int("HITL_RATE_LIMIT", default=1200)

SPECTACULAR_SETTINGS = {
    "TITLE": "Human task queue",
    "DESCRIPTION": "Open a human task when an ad operation needs a person, and learn how it ended.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "TaskStatus": ["pending", "assigned", "in_progress", "completed", "failed", "escalated"],
        "TaskResolution": ["approved", "rejected", "completed", "cannot_complete", "withdrawn", "expired"],
        "TaskPriority": ["low", "medium", "high", "urgent"],
        "WebhookScheme": ["HMAC-SHA256", "Bearer"],
        "DeliveryStatus": ["pending", "sent", "failed", "cancelled", "held", "folded"],
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "core.logs.LineFormatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("HITL_LOG_LEVEL", default="INFO")},
    # Celery reports each job twice at INFO; sweeps run every few seconds.
    "loggers": {
        "django.server": {"propagate": True, "handlers": []},
        "axes": {"level": "WARNING"},
        "celery": {"level": "WARNING"},
    },
}


def _with_addresses(script: str, **views: str) -> str:
    """A script of every page, told in its own address where to ask."""
    addresses = (f"{name}={reverse(f'admin:tasks_app_humantask_{view}')}" for name, view in views.items())
    return f"{static(script)}?{'&'.join(addresses)}"


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": gettext_lazy("Human task queue"),
    "SITE_HEADER": gettext_lazy("Human task queue"),
    "SITE_SYMBOL": "task_alt",
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("console/favicon.svg")},
    ],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [
        lambda request: static("console/console.css"),
        lambda request: static("console/time.css"),
        lambda request: static("console/queue.css"),
        lambda request: static("console/presence.css"),
    ],
    "SCRIPTS": [
        lambda request: static("console/console.js"),
        lambda request: import_string("tasks_app.admin.site.drafts_script")(request),
        lambda request: static("console/moments.js"),
        lambda request: static("console/reader.js"),
        lambda request: static("console/countdown.js"),
        lambda request: static("console/queue.js"),
        lambda request: static("console/labels.js"),
        lambda request: _with_addresses("console/presence.js", news="news", told="news_told"),
    ],
    "ACCOUNT": {"navigation": "tasks_app.admin.site.account_links"},
    "DASHBOARD_CALLBACK": "tasks_app.admin.home.dashboard",
    "SIDEBAR": {"show_search": False, "show_all_applications": False, "navigation": "tasks_app.admin.site.sidebar"},
    "COLORS": {
        "primary": {
            "50": "oklch(97% .013 272)",
            "100": "oklch(94% .027 273)",
            "200": "oklch(88.5% .055 274)",
            "300": "oklch(80.5% .1 274)",
            "400": "oklch(71% .145 275)",
            "500": "oklch(60.5% .195 275)",
            "600": "oklch(52.5% .205 274)",
            "700": "oklch(46.5% .19 274)",
            "800": "oklch(40.5% .16 275)",
            "900": "oklch(36% .125 276)",
            "950": "oklch(26% .08 279)",
        },
    },
}
