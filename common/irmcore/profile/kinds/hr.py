"""The connector "HR (preview)": five scenarios, in one file with a column that tells them apart, or one each.

All names, required columns and lengths are those of Microsoft's page "Set up a connector to import HR data",
read in its repository (MicrosoftDocs/microsoft-365-docs at 0116c3e). That version has no number of rows, and
Microsoft's script sends 5,000. The page of 2026 is quoted with 500, which no service that takes more refuses.
The person of a row is the employee, whoever entered the row or manages the employee.
"""

from __future__ import annotations

from types import MappingProxyType

from irmcore.profile.kinds.model import Field, Kind, Scenario

KIND = Kind(
    name="hr",
    title="HR (preview)",
    rows=500,
    of_rows="as others quote the page of 2026; unverified",
    source="https://learn.microsoft.com/en-us/purview/import-hr-data",
    read="2026-11-30",
    user="EmailAddress",
    fields=(
        Field("EmailAddress", "user"),
        Field("ResignationDate", "datetime"),
        Field("LastWorkingDate", "datetime"),
        Field("EffectiveDate", "datetime"),
        Field("Remarks", longest=200, also=("ImprovementRemarks",)),
        Field("Rating", longest=25, also=("PerformanceRating",)),
        Field("OldLevel"),
        Field("NewLevel"),
        Field("EmployeeFirstName"),
        Field("EmployeeLastName"),
        Field("EmployeeAddressLine1", also=("EmployeeAddLine1",)),
        Field("EmployeeAddressLine2", also=("EmployeeAddLine2",)),
        Field("EmployeeCity"),
        Field("EmployeeState"),
        Field("EmployeeZipCode"),
        Field("EmployeeCountry"),
        Field("EmployeeDepartment", also=("EmployeeDept",)),
        Field("EmployeeType"),
        Field("EmployeeRole"),
    ),
    scenarios=MappingProxyType(
        {
            "resignation": Scenario(
                "Resignation",
                # The page calls no column of a resignation optional.
                required=("EmailAddress", "ResignationDate", "LastWorkingDate"),
                date="ResignationDate",
            ),
            "job-level-change": Scenario(
                "Job level change",
                required=("EmailAddress", "EffectiveDate"),
                optional=("Remarks", "OldLevel", "NewLevel"),
                date="EffectiveDate",
            ),
            "performance-review": Scenario(
                "Performance review",
                required=("EmailAddress", "EffectiveDate"),
                optional=("Remarks", "Rating"),
                date="EffectiveDate",
            ),
            "performance-improvement-plan": Scenario(
                "Performance improvement plan",
                required=("EmailAddress", "EffectiveDate"),
                optional=("Remarks", "Rating"),
                date="EffectiveDate",
            ),
            "employee-profile": Scenario(
                "Employee profile",
                required=(
                    "EmailAddress",
                    "EmployeeFirstName",
                    "EmployeeLastName",
                    "EmployeeAddressLine1",
                    "EmployeeZipCode",
                ),
                optional=(
                    "EmployeeAddressLine2",
                    "EmployeeCity",
                    "EmployeeState",
                    "EmployeeCountry",
                    "EmployeeDepartment",
                    "EmployeeType",
                    "EmployeeRole",
                ),
                # The page: refresh every 15 to 20 days; deleted if not updated in the past 30 days.
                refresh_days=15,
                lapse_days=30,
            ),
        }
    ),
)
