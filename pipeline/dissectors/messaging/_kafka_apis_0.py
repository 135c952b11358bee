"""Kafka's API keys 0 to 34: names, versions and fields, in the notation of `_kafka_schema`.

From the protocol guide (https://kafka.apache.org/protocol), 0.8 to 4.3.
"""

__all__ = ["APIS"]

APIS = """\
0 Produce 0-13 flexible 9
> transactionalID:str 3+, requiredAcks:i16, timeout:i32, topicData:[{name:topic 0-12, topicId:topicid 13+,
  partitions:[{index:i32, partitionData:(records:records)}]}]
< responses:[{name:topic 0-12, topicId:topicid 13+, partitionResponses:[{index:i32, errorCode:error, baseOffset:i64,
  logAppendTimeMs:i64 2+, logStartOffset:i64 5+, recordErrors:[{batchIndex:i32, batchIndexErrorMessage:str}] 8+,
  errorMessage:str 8+, currentLeader:{leaderId:i32, leaderEpoch:i32} 10+ #0}]}], throttleTimeMs:i32 1+,
  nodeEndpoints:[{nodeId:i32, host:str, port:i32, rack:str}] 10+ #0
1 Fetch 0-18 flexible 12
> clusterID:str 12+ #0, replicaId:i32 0-14, replicaState:{replicaId:i32, replicaEpoch:i64} 15+ #1, maxWaitMs:i32,
  minBytes:i32, maxBytes:i32 3+, isolationLevel:i8 4+, sessionId:i32 7+, sessionEpoch:i32 7+, topics:[{topic:topic
  0-12, topicId:topicid 13+, partitions:[{partition:i32, currentLeaderEpoch:i32 9+, fetchOffset:i64,
  lastFetchedEpoch:i32 12+, logStartOffset:i64 5+, partitionMaxBytes:i32, replicaDirectoryId:uuid 17+ #0,
  highWatermark:i64 18+ #1}]}], forgottenTopicsData:[{topic:topic 7-12, topicId:topicid 13+, partitions:[i32]}] 7+,
  rackId:str 11+
< throttleTimeMs:i32 1+, errorCode:error 7+, sessionId:i32 7+, responses:[{topic:topic 0-12, topicId:topicid 13+,
  partitions:[{partitionIndex:i32, errorCode:error, highWatermark:i64, lastStableOffset:i64 4+, logStartOffset:i64 5+,
  divergingEpoch:{epoch:i32, endOffset:i64} 12+ #0, currentLeader:{leaderId:i32, leaderEpoch:i32} 12+ #1,
  snapshotId:{endOffset:i64, epoch:i32} 12+ #2, abortedTransactions:[{producerId:i64, firstOffset:i64}] 4+,
  preferredReadReplica:i32 11+, records:records}]}], nodeEndpoints:[{nodeId:i32, host:str, port:i32, rack:str}] 16+ #0
2 ListOffsets 0-11 flexible 6
> replicaId:i32, isolationLevel:i8 2+, topics:[{name:topic, partitions:[{partitionIndex:i32, currentLeaderEpoch:i32
  4+, timestamp:i64, maxNumOffsets:i32 0}]}], timeoutMs:i32 10+
< throttleTimeMs:i32 2+, topics:[{name:topic, partitions:[{partitionIndex:i32, errorCode:error, oldStyleOffsets:[i64]
  0, timestamp:i64 1+, offset:i64 1+, leaderEpoch:i32 4+}]}]
3 Metadata 0-13 flexible 9
> topics:[{topicId:topicid 10+, name:topic}], allowAutoTopicCreation:bool 4+, includeClusterAuthorizedOperations:bool
  8-10, includeTopicAuthorizedOperations:bool 8+
< throttleTimeMs:i32 3+, brokers:[{nodeId:i32, host:str, port:i32, rack:str 1+}], clusterID:str 2+, controllerID:i32
  1+, topics:[{errorCode:error, name:topic, topicId:topicid 10+, isInternal:bool 1+, partitions:[{errorCode:error,
  partitionIndex:i32, leaderId:i32, leaderEpoch:i32 7+, replicaNodes:[i32], isrNodes:[i32], offlineReplicas:[i32]
  5+}], topicAuthorizedOperations:i32 8+}], clusterAuthorizedOperations:i32 8-10, errorCode:error 13+
4 LeaderAndIsr 0-7 flexible 4
> controllerID:i32, isKRaftController:bool 7+, controllerEpoch:i32, brokerEpoch:i64 2+, type:i8 5+,
  ungroupedPartitionStates:[{topicName:topic, partitionIndex:i32, controllerEpoch:i32, leader:i32, leaderEpoch:i32,
  isr:[i32], partitionEpoch:i32, replicas:[i32], isNew:bool 1+}] 0-1, topicStates:[{topicName:topic, topicId:topicid
  5+, partitionStates:[{partitionIndex:i32, controllerEpoch:i32, leader:i32, leaderEpoch:i32, isr:[i32],
  partitionEpoch:i32, replicas:[i32], addingReplicas:[i32] 3+, removingReplicas:[i32] 3+, isNew:bool,
  leaderRecoveryState:i8 6+}]}] 2+, liveLeaders:[{brokerId:i32, hostName:str, port:i32}]
< errorCode:error, partitionErrors:[{topicName:topic, partitionIndex:i32, errorCode:error}] 0-4,
  topics:[{topicId:topicid, partitionErrors:[{partitionIndex:i32, errorCode:error}]}] 5+
5 StopReplica 0-4 flexible 2
> controllerID:i32, isKRaftController:bool 4+, controllerEpoch:i32, brokerEpoch:i64 1+, deletePartitions:bool 0-2,
  ungroupedPartitions:[{topicName:topic, partitionIndex:i32}] 0, topics:[{name:topic, partitionIndexes:[i32]}] 1-2,
  topicStates:[{topicName:topic, partitionStates:[{partitionIndex:i32, leaderEpoch:i32, deletePartition:bool}]}] 3+
< errorCode:error, partitionErrors:[{topicName:topic, partitionIndex:i32, errorCode:error}]
6 UpdateMetadata 0-8 flexible 6
> controllerID:i32, isKRaftController:bool 8+, type:i8 8+ #0, controllerEpoch:i32, brokerEpoch:i64 5+,
  ungroupedPartitionStates:[{topicName:topic, partitionIndex:i32, controllerEpoch:i32, leader:i32, leaderEpoch:i32,
  isr:[i32], zkVersion:i32, replicas:[i32], offlineReplicas:[i32] 4+}] 0-4, topicStates:[{topicName:topic,
  topicId:topicid 7+, partitionStates:[{partitionIndex:i32, controllerEpoch:i32, leader:i32, leaderEpoch:i32,
  isr:[i32], zkVersion:i32, replicas:[i32], offlineReplicas:[i32]}]}] 5+, liveBrokers:[{id:i32, host:str 0,
  port:i32 0, endpoints:[{port:i32, host:str, listener:str 3+, securityProtocol:i16}] 1+, rack:str 2+}]
< errorCode:error
7 ControlledShutdown 0-3 flexible 3
> brokerId:i32, brokerEpoch:i64 2+
< errorCode:error, remainingPartitions:[{topicName:topic, partitionIndex:i32}]
8 OffsetCommit 0-10 flexible 8
> groupId:str, generationIdOrMemberEpoch:i32 1+, memberId:str 1+, groupInstanceId:str 7+, retentionTimeMs:i64 2-4,
  topics:[{name:topic 0-9, topicId:topicid 10+, partitions:[{partitionIndex:i32, committedOffset:i64,
  committedLeaderEpoch:i32 6+, commitTimestamp:i64 1, committedMetadata:str}]}]
< throttleTimeMs:i32 3+, topics:[{name:topic 0-9, topicId:topicid 10+, partitions:[{partitionIndex:i32,
  errorCode:error}]}]
9 OffsetFetch 0-10 flexible 6
> groupId:str 0-7, topics:[{name:topic, partitionIndexes:[i32]}] 0-7, groups:[{groupId:str, memberId:str 9+,
  memberEpoch:i32 9+, topics:[{name:topic 8-9, topicId:topicid 10+, partitionIndexes:[i32]}]}] 8+, requireStable:bool
  7+
< throttleTimeMs:i32 3+, topics:[{name:topic, partitions:[{partitionIndex:i32, committedOffset:i64,
  committedLeaderEpoch:i32 5+, metadata:str, errorCode:error}]}] 0-7, errorCode:error 2-7, groups:[{groupId:str,
  topics:[{name:topic 8-9, topicId:topicid 10+, partitions:[{partitionIndex:i32, committedOffset:i64,
  committedLeaderEpoch:i32, metadata:str, errorCode:error}]}], errorCode:error}] 8+
10 FindCoordinator 0-6 flexible 3
> key:str 0-3, keyType:i8 1+, coordinatorKeys:[str] 4+
< throttleTimeMs:i32 1+, errorCode:error 0-3, errorMessage:str 1-3, nodeId:i32 0-3, host:str 0-3, port:i32 0-3,
  coordinators:[{key:str, nodeId:i32, host:str, port:i32, errorCode:error, errorMessage:str}] 4+
11 JoinGroup 0-9 flexible 6
> groupId:str, sessionTimeoutMs:i32, rebalanceTimeoutMs:i32 1+, memberId:str, groupInstanceId:str 5+,
  protocolType:str, protocols:[{name:str, metadata:subscription}], reason:str 8+
< throttleTimeMs:i32 2+, errorCode:error, generationId:i32, protocolType:str 7+, protocolName:str, leader:str,
  skipAssignment:bool 9+, memberId:str, members:[{memberId:str, groupInstanceId:str 5+, metadata:subscription}]
12 Heartbeat 0-4 flexible 4
> groupId:str, generationId:i32, memberId:str, groupInstanceId:str 3+
< throttleTimeMs:i32 1+, errorCode:error
13 LeaveGroup 0-5 flexible 4
> groupId:str, memberId:str 0-2, members:[{memberId:str, groupInstanceId:str, reason:str 5+}] 3+
< throttleTimeMs:i32 1+, errorCode:error, members:[{memberId:str, groupInstanceId:str, errorCode:error}] 3+
14 SyncGroup 0-5 flexible 4
> groupId:str, generationId:i32, memberId:str, groupInstanceId:str 3+, protocolType:str 5+, protocolName:str 5+,
  assignments:[{memberId:str, assignment:assignment}]
< throttleTimeMs:i32 1+, errorCode:error, protocolType:str 5+, protocolName:str 5+, assignment:assignment
15 DescribeGroups 0-6 flexible 5
> groups:[str], includeAuthorizedOperations:bool 3+
< throttleTimeMs:i32 1+, groups:[{errorCode:error, errorMessage:str 6+, groupId:str, groupState:str, protocolType:str,
  protocolData:str, members:[{memberId:str, groupInstanceId:str 4+, clientId:str, clientHost:str,
  memberMetadata:subscription, memberAssignment:assignment}], authorizedOperations:i32 3+}]
16 ListGroups 0-5 flexible 3
> statesFilter:[str] 4+, typesFilter:[str] 5+
< throttleTimeMs:i32 1+, errorCode:error, groups:[{groupId:str, protocolType:str, groupState:str 4+, groupType:str
  5+}]
17 SaslHandshake 0-1
> mechanism:str
< errorCode:error, mechanisms:[str]
18 ApiVersions 0-4 flexible 3
> clientSoftwareName:str 3+, clientSoftwareVersion:str 3+
< errorCode:error, apiKeys:[{apiKey:i16, minVersion:i16, maxVersion:i16}], throttleTimeMs:i32 1+,
  supportedFeatures:[{name:str, minVersion:i16, maxVersion:i16}] 3+ #0, finalizedFeaturesEpoch:i64 3+ #1,
  finalizedFeatures:[{name:str, maxVersionLevel:i16, minVersionLevel:i16}] 3+ #2, zkMigrationReady:bool 3+ #3
19 CreateTopics 0-7 flexible 5
> topics:[{name:topic, numPartitions:i32, replicationFactor:i16, assignments:[{partitionIndex:i32, brokerIds:[i32]}],
  configs:[{name:str, value:str}]}], timeoutMs:i32, validateOnly:bool 1+
< throttleTimeMs:i32 2+, topics:[{name:topic, topicId:topicid 7+, errorCode:error, errorMessage:str 1+,
  topicConfigErrorCode:error 5+ #0, numPartitions:i32 5+, replicationFactor:i16 5+, configs:[{name:str, value:str,
  readOnly:bool, configSource:i8, isSensitive:bool}] 5+}]
20 DeleteTopics 0-6 flexible 4
> topics:[{name:topic, topicId:topicid}] 6+, topicNames:[topic] 0-5, timeoutMs:i32
< throttleTimeMs:i32 1+, responses:[{name:topic, topicId:topicid 6+, errorCode:error, errorMessage:str 5+}]
21 DeleteRecords 0-2 flexible 2
> topics:[{name:topic, partitions:[{partitionIndex:i32, offset:i64}]}], timeoutMs:i32
< throttleTimeMs:i32, topics:[{name:topic, partitions:[{partitionIndex:i32, lowWatermark:i64, errorCode:error}]}]
22 InitProducerId 0-6 flexible 2
> transactionalID:str, transactionTimeoutMs:i32, producerId:i64 3+, producerEpoch:i16 3+, enable2Pc:bool 6+,
  keepPreparedTxn:bool 6+
< throttleTimeMs:i32, errorCode:error, producerId:i64, producerEpoch:i16, ongoingTxnProducerId:i64 6+,
  ongoingTxnProducerEpoch:i16 6+
23 OffsetForLeaderEpoch 0-4 flexible 4
> replicaId:i32 3+, topics:[{topic:topic, partitions:[{partition:i32, currentLeaderEpoch:i32 2+, leaderEpoch:i32}]}]
< throttleTimeMs:i32 2+, topics:[{topic:topic, partitions:[{errorCode:error, partition:i32, leaderEpoch:i32 1+,
  endOffset:i64}]}]
24 AddPartitionsToTxn 0-5 flexible 3
> transactions:[{transactionalID:str, producerId:i64, producerEpoch:i16, verifyOnly:bool, topics:[{name:topic,
  partitions:[i32]}]}] 4+, transactionalID:str 0-3, producerId:i64 0-3,
  producerEpoch:i16 0-3, topics:[{name:topic, partitions:[i32]}] 0-3
< throttleTimeMs:i32, errorCode:error 4+, resultsByTransaction:[{transactionalID:str, topicResults:[{name:topic,
  resultsByPartition:[{partitionIndex:i32, partitionErrorCode:error}]}]}] 4+, resultsByTopic:[{name:topic,
  resultsByPartition:[{partitionIndex:i32, partitionErrorCode:error}]}] 0-3
25 AddOffsetsToTxn 0-4 flexible 3
> transactionalID:str, producerId:i64, producerEpoch:i16, groupId:str
< throttleTimeMs:i32, errorCode:error
26 EndTxn 0-5 flexible 3
> transactionalID:str, producerId:i64, producerEpoch:i16, committed:bool
< throttleTimeMs:i32, errorCode:error, producerId:i64 5+, producerEpoch:i16 5+
27 WriteTxnMarkers 0-2 flexible 1
> markers:[{producerId:i64, producerEpoch:i16, transactionResult:bool, topics:[{name:topic, partitionIndexes:[i32]}],
  coordinatorEpoch:i32, transactionVersion:i8 2+}]
< markers:[{producerId:i64, topics:[{name:topic, partitions:[{partitionIndex:i32, errorCode:error}]}]}]
28 TxnOffsetCommit 0-5 flexible 3
> transactionalID:str, groupId:str, producerId:i64, producerEpoch:i16, generationId:i32 3+, memberId:str 3+,
  groupInstanceId:str 3+, topics:[{name:topic, partitions:[{partitionIndex:i32, committedOffset:i64,
  committedLeaderEpoch:i32 2+, committedMetadata:str}]}]
< throttleTimeMs:i32, topics:[{name:topic, partitions:[{partitionIndex:i32, errorCode:error}]}]
29 DescribeAcls 0-3 flexible 2
> resourceTypeFilter:i8, resourceNameFilter:str, patternTypeFilter:i8 1+, principalFilter:str, hostFilter:str,
  operation:i8, permissionType:i8
< throttleTimeMs:i32, errorCode:error, errorMessage:str, resources:[{resourceType:i8, resourceName:str, patternType:i8
  1+, acls:[{principal:str, host:str, operation:i8, permissionType:i8}]}]
30 CreateAcls 0-3 flexible 2
> creations:[{resourceType:i8, resourceName:str, resourcePatternType:i8 1+, principal:str, host:str, operation:i8,
  permissionType:i8}]
< throttleTimeMs:i32, results:[{errorCode:error, errorMessage:str}]
31 DeleteAcls 0-3 flexible 2
> filters:[{resourceTypeFilter:i8, resourceNameFilter:str, patternTypeFilter:i8 1+, principalFilter:str,
  hostFilter:str, operation:i8, permissionType:i8}]
< throttleTimeMs:i32, filterResults:[{errorCode:error, errorMessage:str, matchingAcls:[{errorCode:error,
  errorMessage:str, resourceType:i8, resourceName:str, patternType:i8 1+, principal:str, host:str, operation:i8,
  permissionType:i8}]}]
32 DescribeConfigs 0-4 flexible 4
> resources:[{resourceType:i8, resourceName:str, configurationKeys:[str]}], includeSynonyms:bool 1+,
  includeDocumentation:bool 3+
< throttleTimeMs:i32, results:[{errorCode:error, errorMessage:str, resourceType:i8, resourceName:str,
  configs:[{name:str, value:str, readOnly:bool, isDefault:bool 0, configSource:i8 1+, isSensitive:bool,
  synonyms:[{name:str, value:str, source:i8}] 1+, configType:i8 3+, documentation:str 3+}]}]
33 AlterConfigs 0-2 flexible 2
> resources:[{resourceType:i8, resourceName:str, configs:[{name:str, value:str}]}], validateOnly:bool
< throttleTimeMs:i32, responses:[{errorCode:error, errorMessage:str, resourceType:i8, resourceName:str}]
34 AlterReplicaLogDirs 0-2 flexible 2
> dirs:[{path:str, topics:[{name:topic, partitions:[i32]}]}]
< throttleTimeMs:i32, results:[{topicName:topic, partitions:[{partitionIndex:i32, errorCode:error}]}]
"""
