"""Names of RADIUS attributes, of their values, and of vendors' attributes (IANA registry, RFC 2548, 3GPP TS 29.061)."""

from __future__ import annotations

from typing import Literal

__all__ = [
    "ATTRIBUTES",
    "CISCO",
    "EAP_CODES",
    "EAP_TYPES",
    "MICROSOFT",
    "MICROSOFT_SECRETS",
    "TGPP",
    "TGPP_ADDRESSES",
    "TGPP_INTEGERS",
    "TGPP_OCTETS",
    "VALUES",
    "VENDORS",
    "Kind",
]

Kind = Literal["text", "octets", "int", "address", "address6", "prefix6", "interface", "time", "secret", "tagged"]

_TEXT = {
    1: "User-Name",
    11: "Filter-Id",
    18: "Reply-Message",
    19: "Callback-Number",
    20: "Callback-Id",
    22: "Framed-Route",
    30: "Called-Station-Id",
    31: "Calling-Station-Id",
    32: "NAS-Identifier",
    34: "Login-LAT-Service",
    35: "Login-LAT-Node",
    39: "Framed-AppleTalk-Zone",
    44: "Acct-Session-Id",
    50: "Acct-Multi-Session-Id",
    63: "Login-LAT-Port",
    74: "ARAP-Security-Data",
    77: "Connect-Info",
    78: "Configuration-Token",
    84: "ARAP-Challenge-Response",
    87: "NAS-Port-Id",
    88: "Framed-Pool",
    89: "Chargeable-User-Identity",
    92: "NAS-Filter-Rule",
    99: "Framed-IPv6-Route",
    100: "Framed-IPv6-Pool",
    123: "Delegated-IPv6-Prefix-Pool",
    126: "Operator-Name",
}
_OCTETS = {
    24: "State",
    25: "Class",
    26: "Vendor-Specific",
    33: "Proxy-State",
    36: "Login-LAT-Group",
    71: "ARAP-Features",
    79: "EAP-Message",
    80: "Message-Authenticator",
    94: "Originating-Line-Info",
    102: "EAP-Key-Name",
    125: "MIP6-Feature-Vector",
    127: "Location-Information",
    128: "Location-Data",
    129: "Basic-Location-Policy-Rules",
    130: "Extended-Location-Policy-Rules",
    131: "Location-Capable",
    132: "Requested-Location-Info",
    144: "DS-Lite-Tunnel-Name",
    171: "Delegated-IPv6-Prefix-Info",
    241: "Extended-Attribute-1",
    242: "Extended-Attribute-2",
    243: "Extended-Attribute-3",
    244: "Extended-Attribute-4",
    245: "Extended-Attribute-5",
    246: "Extended-Attribute-6",
}
_SECRET = {
    2: "User-Password",
    3: "CHAP-Password",
    17: "Change-Password",
    60: "CHAP-Challenge",
    69: "Tunnel-Password",
    70: "ARAP-Password",
    73: "ARAP-Security",
    103: "Digest-Response",
}
_INT = {
    5: "NAS-Port",
    6: "Service-Type",
    7: "Framed-Protocol",
    10: "Framed-Routing",
    12: "Framed-MTU",
    13: "Framed-Compression",
    15: "Login-Service",
    16: "Login-TCP-Port",
    23: "Framed-IPX-Network",
    27: "Session-Timeout",
    28: "Idle-Timeout",
    29: "Termination-Action",
    37: "Framed-AppleTalk-Link",
    38: "Framed-AppleTalk-Network",
    40: "Acct-Status-Type",
    41: "Acct-Delay-Time",
    42: "Acct-Input-Octets",
    43: "Acct-Output-Octets",
    45: "Acct-Authentic",
    46: "Acct-Session-Time",
    47: "Acct-Input-Packets",
    48: "Acct-Output-Packets",
    49: "Acct-Terminate-Cause",
    51: "Acct-Link-Count",
    52: "Acct-Input-Gigawords",
    53: "Acct-Output-Gigawords",
    61: "NAS-Port-Type",
    62: "Port-Limit",
    64: "Tunnel-Type",
    65: "Tunnel-Medium-Type",
    72: "ARAP-Zone-Access",
    75: "Password-Retry",
    76: "Prompt",
    85: "Acct-Interim-Interval",
    86: "Acct-Tunnel-Packets-Lost",
    101: "Error-Cause",
    133: "Management-Policy",
    136: "Management-Privilege-Level",
}
_TAGGED = {
    66: "Tunnel-Client-Endpoint",
    67: "Tunnel-Server-Endpoint",
    68: "Acct-Tunnel-Connection",
    81: "Tunnel-Private-Group-Id",
    82: "Tunnel-Assignment-Id",
    83: "Tunnel-Preference",
    90: "Tunnel-Client-Auth-Id",
    91: "Tunnel-Server-Auth-Id",
}
_BY_KIND: dict[Kind, dict[int, str]] = {
    "text": _TEXT,
    "octets": _OCTETS,
    "secret": _SECRET,
    "int": _INT,
    "tagged": _TAGGED,
    "time": {55: "Event-Timestamp"},
    "address": {4: "NAS-IP-Address", 8: "Framed-IP-Address", 9: "Framed-IP-Netmask", 14: "Login-IP-Host"},
    "address6": {
        95: "NAS-IPv6-Address",
        98: "Login-IPv6-Host",
        168: "Framed-IPv6-Address",
        169: "DNS-Server-IPv6-Address",
    },
    "prefix6": {97: "Framed-IPv6-Prefix", 123: "Delegated-IPv6-Prefix"},
    "interface": {96: "Framed-Interface-Id"},
}
ATTRIBUTES: dict[int, tuple[str, Kind]] = {
    number: (name, kind) for kind, names in _BY_KIND.items() for number, name in names.items()
}

_VALUES: dict[int, str] = {
    6: "1 Login,2 Framed,3 Callback-Login,4 Callback-Framed,5 Outbound,6 Administrative,7 NAS-Prompt,"
    "8 Authenticate-Only,9 Callback-NAS-Prompt,10 Call-Check,11 Callback-Administrative,17 Authorize-Only",
    7: "1 PPP,2 SLIP,3 ARAP,4 Gandalf,5 Xylogics,6 X.75,7 GPRS-PDP-Context",
    13: "0 None,1 Van-Jacobson-TCP-IP,2 IPX-Header,3 Stac-LZS",
    29: "0 Default,1 RADIUS-Request",
    40: "1 Start,2 Stop,3 Interim-Update,7 Accounting-On,8 Accounting-Off,9 Tunnel-Start,10 Tunnel-Stop,"
    "11 Tunnel-Reject,12 Tunnel-Link-Start,13 Tunnel-Link-Stop,14 Tunnel-Link-Reject,15 Failed",
    45: "1 RADIUS,2 Local,3 Remote,4 Diameter",
    49: "1 User-Request,2 Lost-Carrier,3 Lost-Service,4 Idle-Timeout,5 Session-Timeout,6 Admin-Reset,7 Admin-Reboot,"
    "8 Port-Error,9 NAS-Error,10 NAS-Request,11 NAS-Reboot,12 Port-Unneeded,13 Port-Preempted,14 Port-Suspended,"
    "15 Service-Unavailable,16 Callback,17 User-Error,18 Host-Request",
    61: "0 Async,1 Sync,2 ISDN,3 ISDN-V120,4 ISDN-V110,5 Virtual,6 PIAFS,8 X.25,15 Ethernet,16 xDSL,17 Cable,"
    "18 Wireless-Other,19 Wireless-802.11,20 Token-Ring,21 FDDI,30 PPPoA,31 PPPoEoA,32 PPPoEoE,33 PPPoEoVLAN",
    64: "1 PPTP,2 L2F,3 L2TP,4 ATMP,5 VTP,6 AH,7 IP-in-IP,8 MIN-IP-in-IP,9 ESP,10 GRE,11 DVS,"
    "12 IP-in-IP-Tunnel,13 VLAN",
    65: "1 IPv4,2 IPv6,3 NSAP,4 HDLC,5 BBN-1822,6 IEEE-802,7 E.163,8 E.164",
    101: "201 Residual-Context-Removed,202 Invalid-EAP-Packet,401 Unsupported-Attribute,402 Missing-Attribute,"
    "403 NAS-Identification-Mismatch,404 Invalid-Request,405 Unsupported-Service,406 Unsupported-Extension,"
    "407 Invalid-Attribute-Value,501 Administratively-Prohibited,502 Request-Not-Routable,"
    "503 Session-Context-Not-Found,"
    "504 Session-Context-Not-Removable,505 Other-Proxy-Processing-Error,506 Resources-Unavailable,"
    "507 Request-Initiated,"
    "508 Multiple-Session-Selection-Unsupported",
}
VALUES = {
    number: {int(n): name for n, name in (item.split(" ", 1) for item in listed.split(","))}
    for number, listed in _VALUES.items()
}

VENDORS = {
    9: "Cisco",
    311: "Microsoft",
    529: "Ascend",
    1584: "BayNetworks",
    2011: "Huawei",
    2352: "Redback",
    2636: "Juniper",
    3076: "Altiga",
    3902: "ZTE",
    4874: "ERX",
    5771: "Cisco-BBSM",
    6527: "Alcatel-Lucent",
    8744: "Colubris",
    10415: "3GPP",
    11344: "FreeRADIUS",
    12356: "Fortinet",
    14122: "WISPr",
    14823: "Aruba",
    14988: "MikroTik",
    25053: "Ruckus",
    25461: "PaloAlto",
    26145: "UNE",
}
CISCO = {1: "Cisco-AVPair", 2: "Cisco-NAS-Port", 250: "Cisco-Account-Info", 251: "Cisco-Service-Info"}
MICROSOFT_SECRETS = {
    1: "MS-CHAP-Response",
    11: "MS-CHAP-Challenge",
    12: "MS-CHAP-MPPE-Keys",
    16: "MS-MPPE-Send-Key",
    17: "MS-MPPE-Recv-Key",
    25: "MS-CHAP2-Response",
    26: "MS-CHAP2-Success",
    3: "MS-CHAP-LM-Enc-PW",
    4: "MS-CHAP-CPW-1",
    5: "MS-CHAP-NT-Enc-PW",
    6: "MS-CHAP-CPW-2",
    27: "MS-CHAP2-CPW",
}
MICROSOFT = {
    2: ("MS-CHAP-Error", "text"),
    7: ("MS-MPPE-Encryption-Policy", "int"),
    8: ("MS-MPPE-Encryption-Types", "int"),
    9: ("MS-RAS-Vendor", "int"),
    10: ("MS-CHAP-Domain", "text"),
    18: ("MS-RAS-Version", "text"),
    28: ("MS-Primary-DNS-Server", "address"),
    29: ("MS-Secondary-DNS-Server", "address"),
    34: ("MS-RAS-Client-Name", "text"),
    35: ("MS-RAS-Client-Version", "text"),
}
TGPP = {
    1: "3GPP-IMSI",
    2: "3GPP-Charging-Id",
    3: "3GPP-PDP-Type",
    5: "3GPP-GPRS-Negotiated-QoS-Profile",
    6: "3GPP-SGSN-Address",
    7: "3GPP-GGSN-Address",
    8: "3GPP-IMSI-MCC-MNC",
    9: "3GPP-GGSN-MCC-MNC",
    10: "3GPP-NSAPI",
    12: "3GPP-Selection-Mode",
    13: "3GPP-Charging-Characteristics",
    18: "3GPP-SGSN-MCC-MNC",
    20: "3GPP-IMEISV",
    21: "3GPP-RAT-Type",
    22: "3GPP-User-Location-Info",
    23: "3GPP-MS-TimeZone",
}
TGPP_INTEGERS, TGPP_ADDRESSES, TGPP_OCTETS = {2, 3}, {6, 7}, {21, 22, 23}

EAP_CODES = {1: "Request", 2: "Response", 3: "Success", 4: "Failure"}
EAP_TYPES = {
    1: "Identity",
    2: "Notification",
    3: "Nak",
    4: "MD5-Challenge",
    5: "OTP",
    6: "GTC",
    13: "EAP-TLS",
    17: "LEAP",
    18: "EAP-SIM",
    21: "EAP-TTLS",
    23: "EAP-AKA",
    25: "PEAP",
    26: "MSCHAPv2",
    43: "EAP-FAST",
    47: "EAP-PSK",
    50: "EAP-AKA'",
    52: "EAP-PWD",
    55: "TEAP",
}
