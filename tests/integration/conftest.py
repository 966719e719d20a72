"""A running gateway for whoever takes it."""

from tests.gateways import gateway as gateway
from tests.gateways import tenant as tenant
