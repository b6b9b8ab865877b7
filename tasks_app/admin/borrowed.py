"""Texts of the libraries under the console that they leave in English.

Named here, they are collected with our own, and our translations, which Django asks first, say them in the reader's
language. Nothing reads this tuple.
"""

from typing import Final

from django.utils.translation import gettext_noop as _

BORROWED: Final = (
    # Unfold
    _("After you've created a user, you’ll be able to edit more user options."),
    _("Apply Filters"),
    _("Click to cancel"),
    _("Dark"),
    _("Date"),
    _("Expand row"),
    _("False"),
    _("Forgotten your password or username?"),
    _("Go back"),
    _("Light"),
    _("More actions"),
    _("No results found"),
    _("Previous"),
    _("Reset filters"),
    _("Run"),
    _("Select action"),
    _("Select action to run"),
    _("Select all rows"),
    _("Select record"),
    _("Select value"),
    _("This item will be deleted."),
    _("Toggle password visibility"),
    _("True"),
    _("Type to search"),
    _("Welcome"),
    _("Welcome back to"),
    _("You have been successfully logged out from the administration"),
    # Django
    _("Administration"),
    _("Conflicting form data submitted. Please try again."),
    _("Disable password-based authentication"),
    _("Enable password-based authentication"),
    _("Enabled"),
    _("Password-based authentication"),
    _("Password-based authentication was disabled."),
    _("Reset password"),
    _("Save and add another"),
    _("Save and continue editing"),
    _("Set password: %s"),
    _(
        "Raw passwords are not stored, so there is no way to see this user’s password, but you can change the password "
        'using <a href="{}" class="text-primary-600 dark:text-primary-500">this form</a>.'
    ),
    _(
        "Whether the user will be able to authenticate using a password or not. If disabled, they may still be able to "
        "authenticate using other backends, such as Single Sign-On or LDAP."
    ),
    # The audit log
    _("Created {repr:s}"),
    _("Deleted {repr:s}"),
    _("Logged {repr:s}"),
    _("Updated {repr:s}"),
    _("create"),
    _("delete"),
    _("object pk"),
    _("update"),
)
