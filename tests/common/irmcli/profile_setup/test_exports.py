"""Exports of real products and made-up ones, with the user, the time and the thresholds of each.

The answers were written before the code. A column name is cited where its vendor documents it; all values
are invented. ``ASK`` means that nothing may be taken without asking.
"""

from __future__ import annotations

import csv

import pytest
from irmcli.profile_setup.column_stats import count_values
from irmcli.profile_setup.guesses import Guesses, Roles, guess

ASK = "?"

#: Name: (header and rows, user, time, thresholds).
EXPORTS = {
    # The example of a user's report: both columns hold addresses, and the target comes first.
    "target before actor": (
        """\
TargetEmail,ActorEmail,EventTime,Files
hr@contoso.com,ana.k@contoso.com,2026-11-20T08:00:00Z,3
it@contoso.com,ben.h@contoso.com,2026-11-20T09:00:00Z,12
""",
        "ActorEmail",
        "EventTime",
        ["Files"],
    ),
    # https://help.splunk.com, "Use default fields": _time is the event's time, _indextime the index's.
    "Splunk's times": (
        """\
_indextime,_time,user,count
1763625700,1763625600,ana.k@contoso.com,3
1763625900,1763625660,ben.h@contoso.com,12
""",
        "user",
        "_time",
        ["count"],
    ),
    # https://developer.okta.com/docs/api/openapi/okta-management/management/tag/SystemLog/, flattened.
    "Okta System Log": (
        """\
uuid,published,eventType,target.alternateId,actor.id,actor.type,actor.alternateId,client.ipAddress
u-1,2026-11-20T08:00:00.123Z,user.account.lock,hr@contoso.com,00u1,User,ana.k@contoso.com,203.0.113.5
u-2,2026-11-20T09:00:00.123Z,user.account.lock,it@contoso.com,00u2,User,ben.h@contoso.com,203.0.113.6
""",
        "actor.alternateId",
        "published",
        [],
    ),
    # https://learn.microsoft.com/graph/api/resources/directoryaudit: initiatedBy, targetResources, flattened.
    "Entra audit, Graph": (
        """\
activityDateTime,activityDisplayName,targetResources.userPrincipalName,initiatedBy.user.userPrincipalName
2026-11-20T08:00:00Z,Reset password,hr@contoso.com,ana.k@contoso.com
2026-11-20T09:00:00Z,Reset password,it@contoso.com,ben.h@contoso.com
""",
        "initiatedBy.user.userPrincipalName",
        "activityDateTime",
        [],
    ),
    # The portal's CSV download of the audit logs; its columns are undocumented (unverified).
    "Entra audit, CSV download": (
        """\
Date (UTC),CorrelationId,ActorType,ActorObjectId,ActorUserPrincipalName,Target1Type,Target1UserPrincipalName
2026-11-20T08:00:00Z,c-1,User,o-1,ana.k@contoso.com,User,hr@contoso.com
2026-11-20T09:00:00Z,c-2,User,o-2,ben.h@contoso.com,User,it@contoso.com
""",
        "ActorUserPrincipalName",
        "Date (UTC)",
        [],
    ),
    # https://learn.microsoft.com/azure/azure-monitor/reference/tables/auditlogs
    "Entra audit, Log Analytics": (
        """\
TimeGenerated,ActivityDateTime,Identity,TargetUser,DurationMs
2026-11-20T08:02:00Z,2026-11-20T08:00:00Z,ana.k@contoso.com,hr@contoso.com,0
2026-11-20T09:03:00Z,2026-11-20T09:00:00Z,ben.h@contoso.com,it@contoso.com,0
""",
        "Identity",
        "ActivityDateTime",
        ["DurationMs"],
    ),
    # https://learn.microsoft.com/azure/azure-monitor/reference/tables/signinlogs
    "Entra sign-ins": (
        """\
TimeGenerated,CreatedDateTime,UserPrincipalName,UserId,AppId,ResultType,RiskScore
2026-11-20T08:00:00Z,2026-11-20T07:59:30Z,ana.k@contoso.com,o-1,a-1,50126,10
2026-11-20T09:00:00Z,2026-11-20T08:59:10Z,ben.h@contoso.com,o-2,a-1,50053,90
""",
        "UserPrincipalName",
        "TimeGenerated",
        ["RiskScore"],
    ),
    # https://learn.microsoft.com/azure/azure-monitor/reference/tables/azureactivity
    "Azure activity": (
        """\
TimeGenerated,Caller,CallerIpAddress,OperationNameValue,Level
2026-11-20T08:00:00Z,ana.k@contoso.com,203.0.113.5,Microsoft.Storage/delete,Warning
2026-11-20T09:00:00Z,ben.h@contoso.com,203.0.113.6,Microsoft.Storage/delete,Warning
""",
        "Caller",
        "TimeGenerated",
        [],
    ),
    # https://learn.microsoft.com/purview/audit-log-export-records: the CSV file of an audit search.
    "Microsoft 365 audit": (
        """\
RecordId,CreationDate,RecordType,Operation,UserId,AuditData
r-1,2026-11-20T08:00:00Z,6,FileDownloaded,ana.k@contoso.com,x
r-2,2026-11-20T09:00:00Z,14,SharingSet,ben.h@contoso.com,y
""",
        "UserId",
        "CreationDate",
        [],
    ),
    # https://learn.microsoft.com/office/office-365-management-api/office-365-management-activity-api-schema
    "Microsoft 365 sharing": (
        """\
CreationTime,Id,UserId,TargetUserOrGroupName,ObjectId,Version
2026-11-20T08:00:00Z,r-1,ana.k@contoso.com,eve@fabrikam.com,https://contoso/a,1
2026-11-20T09:00:00Z,r-2,ben.h@contoso.com,mia@fabrikam.com,https://contoso/b,1
""",
        "UserId",
        "CreationTime",
        [],
    ),
    # The same schema: MailboxOwnerUPN is the owner of the mailbox that another user opened.
    "Exchange mailbox audit": (
        """\
CreationTime,MailboxOwnerUPN,UserId,OperationCount
2026-11-20T08:00:00Z,hr@contoso.com,ana.k@contoso.com,3
2026-11-20T09:00:00Z,it@contoso.com,ben.h@contoso.com,12
""",
        "UserId",
        "CreationTime",
        ["OperationCount"],
    ),
    # https://developer.salesforce.com/docs, EventLogFile, Report Export: TIMESTAMP is no ISO 8601 time.
    "Salesforce event log file": (
        """\
EVENT_TYPE,TIMESTAMP,REQUEST_ID,USER_ID,RUN_TIME,CPU_TIME,USER_NAME,TIMESTAMP_DERIVED,USER_ID_DERIVED,ROWS_PROCESSED
ReportExport,20261120080000.123,q1,0050x1,312,97,ana.k@contoso.com,2026-11-20T08:00:00.123Z,0050x1AAA,1200
ReportExport,20261120090000.123,q2,0050x2,45,8,ben.h@contoso.com,2026-11-20T09:00:00.123Z,0050x2AAA,88
""",
        "USER_NAME",
        "TIMESTAMP_DERIVED",
        ["ROWS_PROCESSED"],
    ),
    # https://help.salesforce.com, "Monitor Setup Changes with Setup Audit Trail": the downloaded file.
    "Salesforce setup audit trail": (
        """\
Date,User,Source Namespace Prefix,Action,Section,Delegate User
2026-11-20T08:00:00Z,ana.k@contoso.com,,Changed profile,Manage Users,hr@contoso.com
2026-11-20T09:00:00Z,ben.h@contoso.com,,Changed profile,Manage Users,
""",
        "User",
        "Date",
        [],
    ),
    # https://developer.box.com/reference/resources/event/: created_by acted; recorded_at is Box's own time.
    "Box events": (
        """\
event_id,created_at,recorded_at,source.owned_by.login,created_by.name,created_by.login,accessible_by.login,source.size
e-1,2026-11-20T08:00:00-08:00,2026-11-20T08:05:00-08:00,hr@contoso.com,Ana,ana.k@contoso.com,eve@fabrikam.com,2048
e-2,2026-11-20T09:00:00-08:00,2026-11-20T09:01:00-08:00,it@contoso.com,Ben,ben.h@contoso.com,mia@fabrikam.com,95
""",
        "created_by.login",
        "created_at",
        ["source.size"],
    ),
    # https://docs.github.com/rest/orgs/orgs#get-the-audit-log-for-an-organization: actor acted, user was
    # affected. With SAML, external_identity_nameid names the actor's address, which no word tells.
    "GitHub audit log": (
        """\
@timestamp,action,actor,actor_id,user,user_id,external_identity_nameid,created_at
1763625600000,org.add_member,ana-k,583231,hr-team,9919,ana.k@contoso.com,1763625600000
1763629200000,org.add_member,ben-h,583232,it-team,9920,ben.h@contoso.com,1763629200000
""",
        ASK,
        "@timestamp",
        [],
    ),
    # https://developers.google.com/workspace/admin/reports/v1/reference/activities and its Drive events.
    "Google Workspace Drive": (
        """\
id.time,actor.email,actor.profileId,ownerDomain,owner,target_user,doc_id
2026-11-20T08:00:00.123Z,ana.k@contoso.com,113344,contoso.com,hr@contoso.com,eve@fabrikam.com,d1
2026-11-20T09:00:00.123Z,ben.h@contoso.com,113355,contoso.com,it@contoso.com,mia@fabrikam.com,d2
""",
        "actor.email",
        "id.time",
        [],
    ),
    # The same reference, Admin events: USER_EMAIL is the changed user.
    "Google Workspace admin": (
        """\
id.time,USER_EMAIL,actor.email,name
2026-11-20T08:00:00.123Z,hr@contoso.com,ana.k@contoso.com,CHANGE_PASSWORD
2026-11-20T09:00:00.123Z,it@contoso.com,ben.h@contoso.com,CHANGE_PASSWORD
""",
        "actor.email",
        "id.time",
        [],
    ),
    # https://api.slack.com/admins/audit-logs: date_create is in epoch seconds.
    "Slack audit logs": (
        """\
id,date_create,action,actor.user.name,actor.user.email,entity.user.email
s-1,1763625600,user_created,Ana,ana.k@contoso.com,hr@contoso.com
s-2,1763629200,user_created,Ben,ben.h@contoso.com,it@contoso.com
""",
        "actor.user.email",
        "date_create",
        [],
    ),
    # Splunk CIM 8.5, data model DLP: src_user sent, user received.
    "CIM DLP": (
        """\
_time,user,src_user,dlp_type,severity_id
2026-11-20T08:00:00.000+01:00,hr@contoso.com,ana.k@contoso.com,email,3
2026-11-20T09:00:00.000+01:00,it@contoso.com,ben.h@contoso.com,email,4
""",
        "src_user",
        "_time",
        [],
    ),
    # Splunk CIM 8.5, data model Change: src_user changed the account user. The value is no address.
    "CIM Change with an account name": (
        """\
_time,user,src_user,action
2026-11-20T08:00:00.000+01:00,hr@contoso.com,CORP\\ana.k,modified
2026-11-20T09:00:00.000+01:00,it@contoso.com,CORP\\ben.h,modified
""",
        ASK,
        "_time",
        [],
    ),
    # Windows Security event 4724: SubjectUserName resets the password of TargetUserName. No value helps.
    "Windows 4724": (
        """\
TimeCreated,EventID,TargetUserName,SubjectUserName,SubjectUserSid
2026-11-20T08:00:00Z,4724,hr,ana.k,S-1-5-21-1
2026-11-20T09:00:00Z,4724,it,ben.h,S-1-5-21-2
""",
        "SubjectUserName",
        "TimeCreated",
        [],
    ),
    # ServiceNow's sys_audit-like export; made up after its dictionary names.
    "ServiceNow incident": (
        """\
number,opened_at,sys_updated_on,opened_by,caller_id,assigned_to,reassignment_count
4000017,2026-11-20T08:00:00Z,2026-11-21T08:00:00Z,desk@contoso.com,ana.k@contoso.com,it@contoso.com,2
4000018,2026-11-20T09:00:00Z,2026-11-22T08:00:00Z,desk@contoso.com,ben.h@contoso.com,it@contoso.com,0
""",
        "caller_id",
        "opened_at",
        ["reassignment_count"],
    ),
    # CEF's field names (ArcSight Common Event Format, version 1.2): suser acted, duser is the destination.
    "CEF": (
        """\
deviceReceiptTime,startTime,destinationUserName,sourceUserName,bytesOut,destinationPort
2026-11-20T08:05:00Z,2026-11-20T08:00:00Z,hr@contoso.com,ana.k@contoso.com,52,443
2026-11-20T09:05:00Z,2026-11-20T09:00:00Z,it@contoso.com,ben.h@contoso.com,1048,22
""",
        "sourceUserName",
        "startTime",
        ["bytesOut"],
    ),
    "ServiceNow record, made by and changed by": (
        """\
sys_created_on,sys_updated_on,sys_created_by,sys_updated_by
2026-11-20T08:00:00Z,2026-11-21T08:00:00Z,ana.k@contoso.com,it@contoso.com
2026-11-20T09:00:00Z,2026-11-22T08:00:00Z,ben.h@contoso.com,it@contoso.com
""",
        ASK,
        "sys_created_on",
        [],
    ),
    # Badge systems: made up.
    "badge system": (
        """\
BadgeNumber,EmployeeNo,CardholderEmail,DoorId,SwipeTime,ExpiryDate,AfterHoursCount
104411,70012,ana.k@contoso.com,12,2026-11-20T22:00:00Z,2028-01-01T00:00:00Z,3
104412,70013,ben.h@contoso.com,14,2026-11-20T23:00:00Z,2029-01-01T00:00:00Z,1
104413,70014,ida.m@contoso.com,12,2026-11-20T23:30:00Z,2029-01-01T00:00:00Z,1
""",
        "CardholderEmail",
        "SwipeTime",
        ["AfterHoursCount"],
    ),
    "badge system without a count": (
        """\
badge,user,time
104411,ana.k@contoso.com,2026-11-20T22:00:00Z
104412,ben.h@contoso.com,2026-11-20T23:00:00Z
""",
        "user",
        "time",
        [],
    ),
    "identifiers that no word tells": (
        """\
who,when,Matricule,pages
ana.k@contoso.com,2026-11-20T22:00:00Z,481516,3
ben.h@contoso.com,2026-11-20T23:00:00Z,234211,40
ida.m@contoso.com,2026-11-20T23:30:00Z,908070,7
""",
        "who",
        "when",
        ["pages"],
    ),
    "numbers that identify": (
        """\
account_number,phone,ticket,device_id,port,zip_code,year,error_code,user,date,total_bytes
4711,4930123,88,17,443,10115,2026,5,ana.k@contoso.com,2026-11-20T22:00:00Z,2048
4712,4930124,89,18,8443,10117,2026,13,ben.h@contoso.com,2026-11-20T23:00:00Z,99
""",
        "user",
        "date",
        ["total_bytes"],
    ),
    "counts of identified things": (
        """\
user,date,employee_count,number_of_accounts,Number,phone_calls_total,score_id,size_mb
ana.k@contoso.com,2026-11-20T22:00:00Z,3,4,9,7,1,1.5
ben.h@contoso.com,2026-11-20T23:00:00Z,12,1,8,0,2,20
""",
        "user",
        "date",
        ["employee_count", "number_of_accounts", "phone_calls_total", "size_mb"],
    ),
    "mail": (
        """\
To,From,Sent,Attachments
eve@fabrikam.com,ana.k@contoso.com,2026-11-20T22:00:00Z,3
mia@fabrikam.com,ben.h@contoso.com,2026-11-20T23:00:00Z,1
""",
        "From",
        "Sent",
        ["Attachments"],
    ),
    "words written together": (
        """\
targetuser,useremail,ingestiontime,eventtime
eve@fabrikam.com,ana.k@contoso.com,2026-11-21T22:00:00Z,2026-11-20T22:00:00Z
mia@fabrikam.com,ben.h@contoso.com,2026-11-21T23:00:00Z,2026-11-20T23:00:00Z
""",
        "useremail",
        "eventtime",
        [],
    ),
    # `factor` holds `actor`, `customer` holds `to`: only whole words tell.
    "words within words": (
        """\
factor_mail,customer_mail,updates,time
eve@fabrikam.com,ana.k@contoso.com,1,2026-11-20T22:00:00Z
mia@fabrikam.com,ben.h@contoso.com,2,2026-11-20T23:00:00Z
""",
        ASK,
        "time",
        ["updates"],
    ),
    "two addresses without telling words": (
        """\
email,contact,time
ana.k@contoso.com,eve@fabrikam.com,2026-11-20T22:00:00Z
ben.h@contoso.com,mia@fabrikam.com,2026-11-20T23:00:00Z
""",
        ASK,
        "time",
        [],
    ),
    "two addresses that are the same in two rows": (
        """\
email,contact,time
ana.k@contoso.com,Ana.K@contoso.com,2026-11-20T22:00:00Z
ben.h@contoso.com,ben.h@contoso.com,2026-11-20T23:00:00Z
""",
        ASK,
        "time",
        [],
    ),
    "an address beside a target": (
        """\
email,recipient,time
ana.k@contoso.com,eve@fabrikam.com,2026-11-20T22:00:00Z
ben.h@contoso.com,mia@fabrikam.com,2026-11-20T23:00:00Z
""",
        "email",
        "time",
        [],
    ),
    "two actors": (
        """\
requested_by,initiator,time
ana.k@contoso.com,eve@fabrikam.com,2026-11-20T22:00:00Z
ben.h@contoso.com,mia@fabrikam.com,2026-11-20T23:00:00Z
""",
        ASK,
        "time",
        [],
    ),
    "a target alone": (
        """\
RecipientAddress,time
eve@fabrikam.com,2026-11-20T22:00:00Z
mia@fabrikam.com,2026-11-20T23:00:00Z
""",
        ASK,
        "time",
        [],
    ),
    "an owner alone": (
        """\
owner,time
eve@fabrikam.com,2026-11-20T22:00:00Z
mia@fabrikam.com,2026-11-20T23:00:00Z
""",
        "owner",
        "time",
        [],
    ),
    "an owner beside a user who is no address": (
        """\
user,owner,time
CORP\\ana,eve@fabrikam.com,2026-11-20T22:00:00Z
CORP\\ben,mia@fabrikam.com,2026-11-20T23:00:00Z
""",
        ASK,
        "time",
        [],
    ),
    "an employee and a manager": (
        """\
ManagerEmail,EmployeeEmail,last_modified,resignation_date
boss@contoso.com,ana.k@contoso.com,2026-11-21T22:00:00Z,2026-11-20T00:00:00Z
boss@contoso.com,ben.h@contoso.com,2026-11-22T22:00:00Z,2026-11-20T00:00:00Z
""",
        "EmployeeEmail",
        "resignation_date",
        [],
    ),
    "shared with": (
        """\
Shared With,Shared By,Occurred,Processed
eve@fabrikam.com,ana.k@contoso.com,2026-11-20T22:00:00Z,2026-11-21T22:00:00Z
mia@fabrikam.com,ben.h@contoso.com,2026-11-20T23:00:00Z,2026-11-21T22:00:00Z
""",
        "Shared By",
        "Occurred",
        [],
    ),
    "only the time of an update": (
        """\
user,updated_at
ana.k@contoso.com,2026-11-20T22:00:00Z
ben.h@contoso.com,2026-11-20T23:00:00Z
""",
        "user",
        ASK,
        [],
    ),
    "two times that could be the event's": (
        """\
user,login_time,logout_time
ana.k@contoso.com,2026-11-20T22:00:00Z,2026-11-20T22:30:00Z
ben.h@contoso.com,2026-11-20T23:00:00Z,2026-11-20T23:30:00Z
""",
        "user",
        ASK,
        [],
    ),
    "creation of the account": (
        """\
user,account_created,event_created,password_expires
ana.k@contoso.com,2020-11-20T22:00:00Z,2026-11-20T22:30:00Z,2027-01-01T00:00:00Z
ben.h@contoso.com,2021-11-20T23:00:00Z,2026-11-20T23:30:00Z,2027-01-02T00:00:00Z
""",
        "user",
        "event_created",
        [],
    ),
    # The event's time is written in a form that is not read; the time of its creation is no substitute.
    "an event time that is not read": (
        """\
user,Event Time,created
ana.k@contoso.com,Friday morning,2026-11-21T22:30:00Z
ben.h@contoso.com,Friday at 9,2026-11-21T23:30:00Z
""",
        "user",
        ASK,
        [],
    ),
}


def guessed(text: str, roles: Roles = Roles()) -> Guesses:  # noqa: B008 - it is frozen
    """The guesses for a CSV text."""
    header, *rows = csv.reader(text.splitlines())
    return guess(count_values(header, rows), roles)


@pytest.mark.parametrize("name", EXPORTS)
def test_who_when_and_how_much(name: str) -> None:
    """The actor, the event's time and the amounts are found, or the choice is left to a person."""
    text, user, time, thresholds = EXPORTS[name]
    made = guessed(text)
    assert (made.user.header or ASK, made.time.header or ASK) == (user, time)
    assert [column.header for column in made.columns if column.role == "threshold"] == thresholds


@pytest.mark.parametrize("name", EXPORTS)
def test_the_order_of_the_columns_decides_nothing(name: str) -> None:
    """The same columns in reverse order give the same user and time."""
    text, user, time, _ = EXPORTS[name]
    rows = [row[::-1] for row in csv.reader(text.splitlines())]
    made = guess(count_values(rows[0], rows[1:]), Roles())
    assert (made.user.header or ASK, made.time.header or ASK) == (user, time)


@pytest.mark.parametrize(
    ("name", "reason", "alternatives"),
    [
        ("target before actor", "names an actor", {"TargetEmail": "names a target"}),
        ("mail", "names an actor", {"To": "names a target"}),
        ("an employee and a manager", "names a user", {"ManagerEmail": "names a manager"}),
        ("an owner alone", "the only column with user principal names", {}),
        ("an address beside a target", "by elimination", {"recipient": "names a recipient"}),
    ],
)
def test_the_choice_of_the_user_has_a_reason(name: str, reason: str, alternatives: dict[str, str]) -> None:
    """The chosen column and each alternative say what their names tell."""
    user = guessed(EXPORTS[name][0]).user
    assert user.why == reason
    assert {made.header: made.why for made in user.alternatives} == alternatives


def test_columns_that_are_the_same_in_many_rows_are_one() -> None:
    """A hundred rows with equal values are enough to take the first of two columns."""
    header, *rows = EXPORTS["two addresses that are the same in two rows"][0].splitlines(keepends=True)
    user = guessed(header + "".join(rows * 50)).user
    assert (user.header, user.why) == ("email", "has the same values as contact")
    assert guessed(header + "".join(rows * 49)).user.header is None


def test_the_choice_of_the_time_has_a_reason() -> None:
    """The index time is named as such."""
    time = guessed(EXPORTS["Splunk's times"][0]).time
    assert (time.header, time.why) == ("_time", "names the time")
    assert [(made.header, made.why) for made in time.alternatives] == [
        ("_indextime", "names another time (index)")
    ]


def test_an_option_decides() -> None:
    """A column that an option names is taken, also if its name tells otherwise."""
    text = EXPORTS["target before actor"][0]
    made = guessed(text, Roles(user="TargetEmail", time="EventTime", thresholds=("Files",)))
    assert (made.user.header, made.user.why) == ("TargetEmail", "set by you")
    assert [column.role for column in made.columns] == ["user", "information", "time", "threshold"]
