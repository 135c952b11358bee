"""Names of Diameter commands, applications, AVPs and results (RFC 6733, 4005, 4072, 8506; 3GPP TS 29.230)."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "APPLICATIONS",
    "AVPS",
    "COMMANDS",
    "ENUMERATIONS",
    "EXPERIMENTAL_RESULTS",
    "RESULTS",
    "VENDORS",
    "AvpName",
]

IETF, TGPP, ETSI = 0, 10415, 13019
VENDORS = {
    IETF: "",
    TGPP: "3GPP",
    ETSI: "ETSI",
    9: "Cisco",
    2011: "Huawei",
    193: "Ericsson",
    94: "Nokia",
    5535: "3GPP2",
}


class AvpName(NamedTuple):
    """Type: u text, o octets, i and I unsigned 32 and 64, s and S signed ones, e enumerated, g group, a address,
    t time, x never shown."""

    name: str
    type: str


_COMMANDS = """257 Capabilities-Exchange,258 Re-Auth,260 AMR-Mobile-IPv4,262 HAR-Home-Agent-MIP,265 AA,
268 Diameter-EAP,271 Accounting,272 Credit-Control,274 Abort-Session,275 Session-Termination,280 Device-Watchdog,
282 Disconnect-Peer,283 User-Authorization-SIP,284 Server-Assignment-SIP,285 Location-Info-SIP,
286 Multimedia-Auth-SIP,287 Registration-Termination-SIP,288 Push-Profile-SIP,300 User-Authorization,
301 Server-Assignment,302 Location-Info,303 Multimedia-Auth,304 Registration-Termination,305 Push-Profile,
306 User-Data,307 Profile-Update,308 Subscribe-Notifications,309 Push-Notification,310 Bootstrapping-Info,
311 Message-Process,316 Update-Location,317 Cancel-Location,318 Authentication-Information,319 Insert-Subscriber-Data,
320 Delete-Subscriber-Data,321 Purge-UE,322 Reset,323 Notify,324 ME-Identity-Check,325 MIP6,326 QoS-Authorization,
327 QoS-Install,8388620 Provide-Location,8388621 Location-Report,8388622 LCS-Routing-Info,8388635 Spending-Limit,
8388636 Spending-Status-Notification,8388637 TDF-Session,8388638 Update-VCSG-Location,8388639 Device-Action,
8388640 Device-Notification,8388641 Subscriber-Information,8388643 Device-Trigger,8388645 MO-Forward-Short-Message,
8388646 MT-Forward-Short-Message,8388647 Send-Routing-Info-for-SM,8388648 Alert-Service-Centre,
8388649 Report-SM-Delivery-Status,8388718 Configuration-Information,8388719 Reporting-Information,
8388726 NIDD-Information"""

_APPLICATIONS = """0 Diameter Common Messages,1 NASREQ,2 Mobile IPv4,3 Base Accounting,4 Credit Control,5 EAP,6 SIP,
16777216 3GPP Cx,16777217 3GPP Sh,16777219 3GPP Wx,16777220 3GPP Zn,16777221 3GPP Zh,16777222 3GPP Gq,
16777223 3GPP Gmb,16777224 3GPP Gx,16777225 3GPP Gx over Gy,16777229 3GPP Rx 2004,16777236 3GPP Rx,16777238 3GPP Gx,
16777250 3GPP STa,16777251 3GPP S6a/S6d,16777252 3GPP S13,16777255 3GPP SLg,16777264 3GPP SWm,16777265 3GPP SWx,
16777266 3GPP Gxx,16777267 3GPP S9,16777272 3GPP S6b,16777291 3GPP SLh,16777292 3GPP SGmb,16777302 3GPP Sy,
16777303 3GPP Sd,16777308 3GPP S7a,16777310 3GPP S6m,16777312 3GPP S6c,16777313 3GPP SGd,16777318 3GPP S15,
16777335 3GPP MB2-C,16777345 3GPP S6t,16777346 3GPP T6a,4294967295 Relay"""

_RESULTS = """1001 DIAMETER_MULTI_ROUND_AUTH,2001 DIAMETER_SUCCESS,2002 DIAMETER_LIMITED_SUCCESS,
2003 DIAMETER_FIRST_REGISTRATION_TYPE,2004 DIAMETER_SUBSEQUENT_REGISTRATION_TYPE,3001 DIAMETER_COMMAND_UNSUPPORTED,
3002 DIAMETER_UNABLE_TO_DELIVER,3003 DIAMETER_REALM_NOT_SERVED,3004 DIAMETER_TOO_BUSY,3005 DIAMETER_LOOP_DETECTED,
3006 DIAMETER_REDIRECT_INDICATION,3007 DIAMETER_APPLICATION_UNSUPPORTED,3008 DIAMETER_INVALID_HDR_BITS,
3009 DIAMETER_INVALID_AVP_BITS,3010 DIAMETER_UNKNOWN_PEER,4001 DIAMETER_AUTHENTICATION_REJECTED,
4002 DIAMETER_OUT_OF_SPACE,4003 ELECTION_LOST,4010 DIAMETER_END_USER_SERVICE_DENIED,
4011 DIAMETER_CREDIT_CONTROL_NOT_APPLICABLE,4012 DIAMETER_CREDIT_LIMIT_REACHED,
4181 DIAMETER_AUTHENTICATION_DATA_UNAVAILABLE,5001 DIAMETER_AVP_UNSUPPORTED,5002 DIAMETER_UNKNOWN_SESSION_ID,
5003 DIAMETER_AUTHORIZATION_REJECTED,5004 DIAMETER_INVALID_AVP_VALUE,5005 DIAMETER_MISSING_AVP,
5006 DIAMETER_RESOURCES_EXCEEDED,5007 DIAMETER_CONTRADICTING_AVPS,5008 DIAMETER_AVP_NOT_ALLOWED,
5009 DIAMETER_AVP_OCCURS_TOO_MANY_TIMES,5010 DIAMETER_NO_COMMON_APPLICATION,5011 DIAMETER_UNSUPPORTED_VERSION,
5012 DIAMETER_UNABLE_TO_COMPLY,5013 DIAMETER_INVALID_BIT_IN_HEADER,5014 DIAMETER_INVALID_AVP_LENGTH,
5015 DIAMETER_INVALID_MESSAGE_LENGTH,5016 DIAMETER_INVALID_AVP_BIT_COMBO,5017 DIAMETER_NO_COMMON_SECURITY,
5030 DIAMETER_USER_UNKNOWN,5031 DIAMETER_RATING_FAILED"""

_EXPERIMENTAL = """2001 DIAMETER_FIRST_REGISTRATION,2002 DIAMETER_SUBSEQUENT_REGISTRATION,
2003 DIAMETER_UNREGISTERED_SERVICE,4100 DIAMETER_USER_DATA_NOT_AVAILABLE,4141 DIAMETER_PENDING_TRANSACTION,
4181 DIAMETER_AUTHENTICATION_DATA_UNAVAILABLE,5001 DIAMETER_ERROR_USER_UNKNOWN,
5002 DIAMETER_ERROR_IDENTITIES_DONT_MATCH,5003 DIAMETER_ERROR_IDENTITY_NOT_REGISTERED,
5004 DIAMETER_ERROR_ROAMING_NOT_ALLOWED,5005 DIAMETER_ERROR_IDENTITY_ALREADY_REGISTERED,
5006 DIAMETER_ERROR_AUTH_SCHEME_NOT_SUPPORTED,5011 DIAMETER_ERROR_FEATURE_UNSUPPORTED,
5012 DIAMETER_ERROR_SERVING_NODE_FEATURE_UNSUPPORTED,5065 IP_CAN_SESSION_NOT_AVAILABLE,
5141 DIAMETER_ERROR_TRIGGER_EVENT,5142 DIAMETER_PCC_RULE_EVENT,5420 DIAMETER_ERROR_UNKNOWN_EPS_SUBSCRIPTION,
5421 DIAMETER_ERROR_RAT_NOT_ALLOWED,5422 DIAMETER_ERROR_EQUIPMENT_UNKNOWN,5423 DIAMETER_ERROR_UNKNOWN_SERVING_NODE"""

_IETF_AVPS = """1 User-Name u,2 User-Password x,3 CHAP-Password x,4 NAS-IP-Address o,5 NAS-Port i,6 Service-Type e,
7 Framed-Protocol e,8 Framed-IP-Address o,9 Framed-IP-Netmask o,11 Filter-Id u,12 Framed-MTU i,18 Reply-Message u,
22 Framed-Route u,24 State o,25 Class o,27 Session-Timeout i,28 Idle-Timeout i,30 Called-Station-Id u,
31 Calling-Station-Id u,32 NAS-Identifier u,33 Proxy-State o,40 Acct-Status-Type e,44 Acct-Session-Id o,
50 Acct-Multi-Session-Id u,55 Event-Timestamp t,60 CHAP-Challenge x,61 NAS-Port-Type e,62 Port-Limit i,
69 Tunnel-Password x,79 EAP-Message o,80 Message-Authenticator o,85 Acct-Interim-Interval i,87 NAS-Port-Id u,
88 Framed-Pool o,95 NAS-IPv6-Address o,97 Framed-IPv6-Prefix o,99 Framed-IPv6-Route u,102 EAP-Key-Name o,
103 Digest-Response x,121 Digest-HA1 x,123 Delegated-IPv6-Prefix o,124 MIP6-Feature-Vector I,257 Host-IP-Address a,
258 Auth-Application-Id i,259 Acct-Application-Id i,260 Vendor-Specific-Application-Id g,261 Redirect-Host-Usage e,
262 Redirect-Max-Cache-Time i,263 Session-Id u,264 Origin-Host u,265 Supported-Vendor-Id i,266 Vendor-Id i,
267 Firmware-Revision i,268 Result-Code i,269 Product-Name u,270 Session-Binding i,271 Session-Server-Failover e,
272 Multi-Round-Time-Out i,273 Disconnect-Cause e,274 Auth-Request-Type e,276 Auth-Grace-Period i,
277 Auth-Session-State e,278 Origin-State-Id i,279 Failed-AVP g,280 Proxy-Host u,281 Error-Message u,
282 Route-Record u,283 Destination-Realm u,284 Proxy-Info g,285 Re-Auth-Request-Type e,
287 Accounting-Sub-Session-Id I,291 Authorization-Lifetime i,292 Redirect-Host u,293 Destination-Host u,
294 Error-Reporting-Host u,295 Termination-Cause e,296 Origin-Realm u,297 Experimental-Result g,
298 Experimental-Result-Code i,299 Inband-Security-Id i,318 MIP-FA-to-HA-SPI i,401 NAS-Filter-Rule o,
411 CC-Correlation-Id o,412 CC-Input-Octets I,413 CC-Money g,414 CC-Output-Octets I,415 CC-Request-Number i,
416 CC-Request-Type e,417 CC-Service-Specific-Units I,418 CC-Session-Failover e,419 CC-Sub-Session-Id I,420 CC-Time i,
421 CC-Total-Octets I,422 Check-Balance-Result e,423 Cost-Information g,424 Cost-Unit u,425 Currency-Code i,
426 Credit-Control e,427 Credit-Control-Failure-Handling e,428 Direct-Debiting-Failure-Handling e,429 Exponent s,
430 Final-Unit-Indication g,431 Granted-Service-Unit g,432 Rating-Group i,433 Redirect-Address-Type e,
434 Redirect-Server g,435 Redirect-Server-Address u,436 Requested-Action e,437 Requested-Service-Unit g,
438 Restriction-Filter-Rule o,439 Service-Identifier i,440 Service-Parameter-Info g,441 Service-Parameter-Type i,
442 Service-Parameter-Value o,443 Subscription-Id g,444 Subscription-Id-Data u,445 Unit-Value g,
446 Used-Service-Unit g,447 Value-Digits S,448 Validity-Time i,449 Final-Unit-Action e,450 Subscription-Id-Type e,
451 Tariff-Time-Change t,452 Tariff-Change-Usage e,453 G-S-U-Pool-Identifier i,454 CC-Unit-Type e,
455 Multiple-Services-Indicator e,456 Multiple-Services-Credit-Control g,457 G-S-U-Pool-Reference g,
458 User-Equipment-Info g,459 User-Equipment-Info-Type e,460 User-Equipment-Info-Value o,461 Service-Context-Id u,
462 EAP-Payload o,463 EAP-Reissued-Payload o,464 EAP-Master-Session-Key x,465 Accounting-EAP-Auth-Method I,
480 Accounting-Record-Type e,483 Accounting-Realtime-Required e,485 Accounting-Record-Number i,486 MIP6-Agent-Info g,
493 Service-Selection u,606 Event u,621 OC-Supported-Features g,622 OC-Feature-Vector I,623 OC-OLR g,
624 OC-Sequence-Number I"""

_3GPP_AVPS = """1 3GPP-IMSI u,2 3GPP-Charging-Id o,3 3GPP-PDP-Type e,4 3GPP-CG-Address o,
5 3GPP-GPRS-Negotiated-QoS-Profile u,6 3GPP-SGSN-Address o,7 3GPP-GGSN-Address o,8 3GPP-IMSI-MCC-MNC u,
9 3GPP-GGSN-MCC-MNC u,10 3GPP-NSAPI u,12 3GPP-Selection-Mode u,13 3GPP-Charging-Characteristics u,
18 3GPP-SGSN-MCC-MNC u,20 3GPP-IMEISV o,21 3GPP-RAT-Type o,22 3GPP-User-Location-Info o,23 3GPP-MS-TimeZone o,
500 Abort-Cause e,504 AF-Application-Identifier o,505 AF-Charging-Identifier o,507 Flow-Description o,
508 Flow-Grouping g,509 Flow-Number i,510 Flows g,511 Flow-Status e,512 Flow-Usage e,513 Specific-Action e,
515 Max-Requested-Bandwidth-DL i,516 Max-Requested-Bandwidth-UL i,517 Media-Component-Description g,
518 Media-Component-Number i,519 Media-Sub-Component g,520 Media-Type e,521 RR-Bandwidth i,522 RS-Bandwidth i,
523 SIP-Forking-Indication e,524 Codec-Data o,525 Service-URN o,526 Acceptable-Service-Info g,
527 Service-Info-Status e,600 Visited-Network-Identifier o,601 Public-Identity u,602 Server-Name u,
603 Server-Capabilities g,604 Mandatory-Capability i,605 Optional-Capability i,606 User-Data o,
607 SIP-Number-Auth-Items i,608 SIP-Authentication-Scheme u,609 SIP-Authenticate o,610 SIP-Authorization x,
611 SIP-Authentication-Context o,612 SIP-Auth-Data-Item g,613 SIP-Item-Number i,614 Server-Assignment-Type e,
615 Deregistration-Reason g,616 Reason-Code e,617 Reason-Info u,618 Charging-Information g,622 Feature-List-ID-Old i,
623 User-Authorization-Type e,624 User-Data-Already-Available e,625 Confidentiality-Key x,626 Integrity-Key x,
628 Supported-Features g,629 Feature-List-ID i,630 Feature-List i,631 Supported-Applications g,
632 Associated-Identities g,633 Originating-Request e,700 User-Identity g,701 MSISDN o,702 User-Data u,
703 Data-Reference e,704 Service-Indication o,823 Event-Type g,824 SIP-Method u,825 Event u,829 Role-Of-Node e,
830 User-Session-Id u,831 Calling-Party-Address u,832 Called-Party-Address u,833 Time-Stamps g,
834 SIP-Request-Timestamp t,835 SIP-Response-Timestamp t,838 Inter-Operator-Identifier g,839 Originating-IOI u,
840 Terminating-IOI u,841 IMS-Charging-Identifier u,846 Served-Party-IP-Address a,861 Cause-Code s,
862 Node-Functionality e,863 Service-Specific-Data u,865 PS-Furnish-Charging-Information g,872 Reporting-Reason e,
873 Service-Information g,874 PS-Information g,876 IMS-Information g,1000 Bearer-Usage e,1001 Charging-Rule-Install g,
1002 Charging-Rule-Remove g,1003 Charging-Rule-Definition g,1004 Charging-Rule-Base-Name u,1005 Charging-Rule-Name o,
1006 Event-Trigger e,1007 Metering-Method e,1008 Offline e,1009 Online e,1010 Precedence i,1011 Reporting-Level e,
1012 TFT-Filter o,1013 TFT-Packet-Filter-Information g,1014 ToS-Traffic-Class o,1015 PDP-Session-Operation e,
1016 QoS-Information g,1018 Charging-Rule-Report g,1019 PCC-Rule-Status e,1020 Bearer-Identifier o,
1021 Bearer-Operation e,1022 Access-Network-Charging-Identifier-Gx g,1023 Bearer-Control-Mode e,
1024 Network-Request-Support e,1025 Guaranteed-Bitrate-DL i,1026 Guaranteed-Bitrate-UL i,1027 IP-CAN-Type e,
1028 QoS-Class-Identifier e,1029 QoS-Negotiation e,1031 Rule-Failure-Code e,1032 RAT-Type e,
1034 Allocation-Retention-Priority g,1040 APN-Aggregate-Max-Bitrate-DL i,1041 APN-Aggregate-Max-Bitrate-UL i,
1045 Session-Release-Cause e,1046 Priority-Level i,1047 Pre-emption-Capability e,1048 Pre-emption-Vulnerability e,
1049 Default-EPS-Bearer-QoS g,1050 AN-GW-Address a,1058 Flow-Information g,1066 Monitoring-Key o,
1067 Usage-Monitoring-Information g,1080 Flow-Direction e,1227 PDP-Address a,1228 SGSN-Address a,
1247 PDP-Context-Type e,1249 Service-Specific-Info g,1257 Service-Specific-Type i,1400 Subscription-Data g,
1401 Terminal-Information g,1402 IMEI u,1403 Software-Version u,1404 QoS-Subscribed o,1405 ULR-Flags i,
1406 ULA-Flags i,1407 Visited-PLMN-Id o,1408 Requested-EUTRAN-Authentication-Info g,
1409 Requested-UTRAN-GERAN-Authentication-Info g,1410 Number-Of-Requested-Vectors i,1411 Re-Synchronization-Info o,
1412 Immediate-Response-Preferred i,1413 Authentication-Info g,1414 E-UTRAN-Vector g,1415 UTRAN-Vector g,
1416 GERAN-Vector g,1417 Network-Access-Mode e,1418 HPLMN-ODB i,1419 Item-Number i,1420 Cancellation-Type e,
1421 DSR-Flags i,1422 DSA-Flags i,1423 Context-Identifier i,1424 Subscriber-Status e,
1425 Operator-Determined-Barring i,1426 Access-Restriction-Data i,1428 All-APN-Configurations-Included-Indicator e,
1429 APN-Configuration-Profile g,1430 APN-Configuration g,1431 EPS-Subscribed-QoS-Profile g,
1432 VPLMN-Dynamic-Address-Allowed e,1433 STN-SR o,1434 Alert-Reason e,1435 AMBR g,1441 IDA-Flags i,1442 PUA-Flags i,
1443 NOR-Flags i,1444 User-Id u,1445 Equipment-Status e,1446 Regional-Subscription-Zone-Code o,1447 RAND o,
1448 XRES x,1449 AUTN o,1450 KASME x,1453 Kc x,1454 SRES x,1456 PDN-Type e,1490 IDR-Flags i,
1493 Homogeneous-Support-of-IMS-Voice-Over-PS-Sessions e,1615 SGSN-User-State g,
1619 Subscribed-Periodic-RAU-TAU-Timer i,2006 Interface-Id u,2020 Originator-Interface g,2034 Data-Coding-Scheme s,
2050 PDP-Address-Prefix-Length i,2101 Application-Server-Id u,2301 SIP-Request-Timestamp-Fraction i,
2304 CUG-Information o,2601 IMS-Application-Reference-Identifier u,2713 Outgoing-Session-Id u"""

_ENUMERATIONS = """274:1 AUTHENTICATE_ONLY,2 AUTHORIZE_ONLY,3 AUTHORIZE_AUTHENTICATE
277:0 STATE_MAINTAINED,1 NO_STATE_MAINTAINED
273:0 REBOOTING,1 BUSY,2 DO_NOT_WANT_TO_TALK_TO_YOU
295:1 LOGOUT,2 SERVICE_NOT_PROVIDED,3 BAD_ANSWER,4 ADMINISTRATIVE,5 LINK_BROKEN,6 AUTH_EXPIRED,7 USER_MOVED
416:1 INITIAL_REQUEST,2 UPDATE_REQUEST,3 TERMINATION_REQUEST,4 EVENT_REQUEST
436:0 DIRECT_DEBITING,1 REFUND_ACCOUNT,2 CHECK_BALANCE,3 PRICE_ENQUIRY
449:0 TERMINATE,1 REDIRECT,2 RESTRICT_ACCESS
450:0 END_USER_E164,1 END_USER_IMSI,2 END_USER_SIP_URI,3 END_USER_NAI,4 END_USER_PRIVATE
455:0 MULTIPLE_SERVICES_NOT_SUPPORTED,1 MULTIPLE_SERVICES_SUPPORTED
459:0 IMEISV,1 MAC,2 EUI64,3 MODIFIED_EUI64
480:1 EVENT_RECORD,2 START_RECORD,3 INTERIM_RECORD,4 STOP_RECORD"""


def _named(listed: str) -> dict[int, str]:
    pairs = (item.strip().split(" ", 1) for item in listed.split(","))
    return {int(number): name for number, name in pairs}


def _avps(listed: str) -> dict[int, AvpName]:
    triples = (item.split() for item in listed.split(","))
    return {int(number): AvpName(name, kind) for number, name, kind in triples}


COMMANDS = _named(_COMMANDS)
APPLICATIONS = _named(_APPLICATIONS)
RESULTS = _named(_RESULTS)
EXPERIMENTAL_RESULTS = _named(_EXPERIMENTAL)
AVPS: dict[tuple[int, int], AvpName] = {
    **{(IETF, number): name for number, name in _avps(_IETF_AVPS).items()},
    **{(TGPP, number): name for number, name in _avps(_3GPP_AVPS).items()},
}
"""(vendor, code) → name and type."""
ENUMERATIONS = {int(line.partition(":")[0]): _named(line.partition(":")[2]) for line in _ENUMERATIONS.splitlines()}
"""Code of an IETF AVP → names of its values."""
