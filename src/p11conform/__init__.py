"""An executable model of PKCS#11 return values, and a model-based tester of PKCS#11 modules."""

from .judging import judge as judge
