"""Kafka's API keys 35 to 92: names, versions and fields, in the notation of `_kafka_schema`.

From the protocol guide (https://kafka.apache.org/protocol), 0.8 to 4.3.
"""

__all__ = ["APIS"]

APIS = """\
35 DescribeLogDirs 0-5 flexible 2
> topics:[{topic:topic, partitions:[i32]}]
< throttleTimeMs:i32, errorCode:error 3+, results:[{errorCode:error, logDir:str, topics:[{name:topic,
  partitions:[{partitionIndex:i32, partitionSize:i64, offsetLag:i64, isFutureKey:bool}]}], totalBytes:i64 4+,
  usableBytes:i64 4+, isCordoned:bool 5+}]
36 SaslAuthenticate 0-2 flexible 2
> authBytes:secret
< errorCode:error, errorMessage:str, authBytes:secret, sessionLifetimeMs:i64 1+
37 CreatePartitions 0-3 flexible 2
> topics:[{name:topic, count:i32, assignments:[{brokerIds:[i32]}]}], timeoutMs:i32, validateOnly:bool
< throttleTimeMs:i32, results:[{name:topic, errorCode:error, errorMessage:str}]
38 CreateDelegationToken 0-3 flexible 2
> ownerPrincipalType:str 3+, ownerPrincipalName:str 3+, renewers:[{principalType:str, principalName:str}],
  maxLifetimeMs:i64
< errorCode:error, principalType:str, principalName:str, tokenRequesterPrincipalType:str 3+,
  tokenRequesterPrincipalName:str 3+, issueTimestampMs:i64, expiryTimestampMs:i64, maxTimestampMs:i64, tokenId:str,
  hmac:secret, throttleTimeMs:i32
39 RenewDelegationToken 0-2 flexible 2
> hmac:secret, renewPeriodMs:i64
< errorCode:error, expiryTimestampMs:i64, throttleTimeMs:i32
40 ExpireDelegationToken 0-2 flexible 2
> hmac:secret, expiryTimePeriodMs:i64
< errorCode:error, expiryTimestampMs:i64, throttleTimeMs:i32
41 DescribeDelegationToken 0-3 flexible 2
> owners:[{principalType:str, principalName:str}]
< errorCode:error, tokens:[{principalType:str, principalName:str, tokenRequesterPrincipalType:str 3+,
  tokenRequesterPrincipalName:str 3+, issueTimestamp:i64, expiryTimestamp:i64, maxTimestamp:i64, tokenId:str,
  hmac:secret, renewers:[{principalType:str, principalName:str}]}], throttleTimeMs:i32
42 DeleteGroups 0-2 flexible 2
> groupsNames:[str]
< throttleTimeMs:i32, results:[{groupId:str, errorCode:error}]
43 ElectLeaders 0-2 flexible 2
> electionType:i8 1+, topicPartitions:[{topic:topic, partitions:[i32]}], timeoutMs:i32
< throttleTimeMs:i32, errorCode:error 1+, replicaElectionResults:[{topic:topic, partitionResult:[{partitionId:i32,
  errorCode:error, errorMessage:str}]}]
44 IncrementalAlterConfigs 0-1 flexible 1
> resources:[{resourceType:i8, resourceName:str, configs:[{name:str, configOperation:i8, value:str}]}],
  validateOnly:bool
< throttleTimeMs:i32, responses:[{errorCode:error, errorMessage:str, resourceType:i8, resourceName:str}]
45 AlterPartitionReassignments 0-1 flexible 0
> timeoutMs:i32, allowReplicationFactorChange:bool 1+, topics:[{name:topic, partitions:[{partitionIndex:i32,
  replicas:[i32]}]}]
< throttleTimeMs:i32, allowReplicationFactorChange:bool 1+, errorCode:error, errorMessage:str, responses:[{name:topic,
  partitions:[{partitionIndex:i32, errorCode:error, errorMessage:str}]}]
46 ListPartitionReassignments 0-0 flexible 0
> timeoutMs:i32, topics:[{name:topic, partitionIndexes:[i32]}]
< throttleTimeMs:i32, errorCode:error, errorMessage:str, topics:[{name:topic, partitions:[{partitionIndex:i32,
  replicas:[i32], addingReplicas:[i32], removingReplicas:[i32]}]}]
47 OffsetDelete 0-0
> groupId:str, topics:[{name:topic, partitions:[{partitionIndex:i32}]}]
< errorCode:error, throttleTimeMs:i32, topics:[{name:topic, partitions:[{partitionIndex:i32, errorCode:error}]}]
48 DescribeClientQuotas 0-1 flexible 1
> components:[{entityType:str, matchType:i8, match:str}], strict:bool
< throttleTimeMs:i32, errorCode:error, errorMessage:str, entries:[{entity:[{entityType:str, entityName:str}],
  values:[{key:str, value:f64}]}]
49 AlterClientQuotas 0-1 flexible 1
> entries:[{entity:[{entityType:str, entityName:str}], ops:[{key:str, value:f64, remove:bool}]}], validateOnly:bool
< throttleTimeMs:i32, entries:[{errorCode:error, errorMessage:str, entity:[{entityType:str, entityName:str}]}]
50 DescribeUserScramCredentials 0-0 flexible 0
> users:[{name:str}]
< throttleTimeMs:i32, errorCode:error, errorMessage:str, results:[{user:str, errorCode:error, errorMessage:str,
  credentialInfos:[{mechanism:i8, iterations:i32}]}]
51 AlterUserScramCredentials 0-0 flexible 0
> deletions:[{name:str, mechanism:i8}], upsertions:[{name:str, mechanism:i8, iterations:i32, salt:secret,
  saltedPassword:secret}]
< throttleTimeMs:i32, results:[{user:str, errorCode:error, errorMessage:str}]
52 Vote 0-2 flexible 0
> clusterID:str, voterId:i32 1+, topics:[{topicName:topic, partitions:[{partitionIndex:i32, replicaEpoch:i32,
  replicaId:i32, replicaDirectoryId:uuid 1+, voterDirectoryId:uuid 1+, lastOffsetEpoch:i32, lastOffset:i64,
  preVote:bool 2+}]}]
< errorCode:error, topics:[{topicName:topic, partitions:[{partitionIndex:i32, errorCode:error, leaderId:i32,
  leaderEpoch:i32, voteGranted:bool}]}], nodeEndpoints:[{nodeId:i32, host:str, port:u16}] 1+ #0
53 BeginQuorumEpoch 0-1 flexible 1
> clusterID:str, voterId:i32 1+, topics:[{topicName:topic, partitions:[{partitionIndex:i32, voterDirectoryId:uuid 1+,
  leaderId:i32, leaderEpoch:i32}]}], leaderEndpoints:[{name:str, host:str, port:u16}] 1+
< errorCode:error, topics:[{topicName:topic, partitions:[{partitionIndex:i32, errorCode:error, leaderId:i32,
  leaderEpoch:i32}]}], nodeEndpoints:[{nodeId:i32, host:str, port:u16}] 1+ #0
54 EndQuorumEpoch 0-1 flexible 1
> clusterID:str, topics:[{topicName:topic, partitions:[{partitionIndex:i32, leaderId:i32, leaderEpoch:i32,
  preferredSuccessors:[i32] 0, preferredCandidates:[{candidateId:i32, candidateDirectoryId:uuid}] 1+}]}],
  leaderEndpoints:[{name:str, host:str, port:u16}] 1+
< errorCode:error, topics:[{topicName:topic, partitions:[{partitionIndex:i32, errorCode:error, leaderId:i32,
  leaderEpoch:i32}]}], nodeEndpoints:[{nodeId:i32, host:str, port:u16}] 1+ #0
55 DescribeQuorum 0-2 flexible 0
> topics:[{topicName:topic, partitions:[{partitionIndex:i32}]}]
< errorCode:error, errorMessage:str 2+, topics:[{topicName:topic, partitions:[{partitionIndex:i32, errorCode:error,
  errorMessage:str 2+, leaderId:i32, leaderEpoch:i32, highWatermark:i64, currentVoters:[{replicaId:i32,
  replicaDirectoryId:uuid 2+, logEndOffset:i64, lastFetchTimestamp:i64 1+, lastCaughtUpTimestamp:i64 1+}],
  observers:[{replicaId:i32, replicaDirectoryId:uuid 2+, logEndOffset:i64, lastFetchTimestamp:i64 1+,
  lastCaughtUpTimestamp:i64 1+}]}]}], nodes:[{nodeId:i32, listeners:[{name:str, host:str, port:u16}]}] 2+
56 AlterPartition 0-3 flexible 0
> brokerId:i32, brokerEpoch:i64, topics:[{topicName:topic 0-1, topicId:topicid 2+, partitions:[{partitionIndex:i32,
  leaderEpoch:i32, newIsr:[i32] 0-2, newIsrWithEpochs:[{brokerId:i32, brokerEpoch:i64}] 3+, leaderRecoveryState:i8 1+,
  partitionEpoch:i32}]}]
< throttleTimeMs:i32, errorCode:error, topics:[{topicName:topic 0-1, topicId:topicid 2+,
  partitions:[{partitionIndex:i32, errorCode:error, leaderId:i32, leaderEpoch:i32, isr:[i32], leaderRecoveryState:i8
  1+, partitionEpoch:i32}]}]
57 UpdateFeatures 0-2 flexible 0
> timeoutMs:i32, featureUpdates:[{feature:str, maxVersionLevel:i16, allowDowngrade:bool 0, upgradeType:i8 1+}],
  validateOnly:bool 1+
< throttleTimeMs:i32, errorCode:error, errorMessage:str, results:[{feature:str, errorCode:error, errorMessage:str}]
  0-1
58 Envelope 0-0 flexible 0
> requestData:secret, requestPrincipal:bytes, clientHostAddress:bytes
< responseData:secret, errorCode:error
59 FetchSnapshot 0-1 flexible 0
> clusterID:str #0, replicaId:i32, maxBytes:i32, topics:[{name:topic, partitions:[{partition:i32,
  currentLeaderEpoch:i32, snapshotId:{endOffset:i64, epoch:i32}, position:i64, replicaDirectoryId:uuid 1+ #0}]}]
< throttleTimeMs:i32, errorCode:error, topics:[{name:topic, partitions:[{index:i32, errorCode:error,
  snapshotId:{endOffset:i64, epoch:i32}, currentLeader:{leaderId:i32, leaderEpoch:i32} #0, size:i64, position:i64,
  unalignedRecords:records}]}], nodeEndpoints:[{nodeId:i32, host:str, port:u16}] 1+ #0
60 DescribeCluster 0-2 flexible 0
> includeClusterAuthorizedOperations:bool, endpointType:i8 1+, includeFencedBrokers:bool 2+
< throttleTimeMs:i32, errorCode:error, errorMessage:str, endpointType:i8 1+, clusterID:str, controllerID:i32,
  brokers:[{brokerId:i32, host:str, port:i32, rack:str, isFenced:bool 2+}], clusterAuthorizedOperations:i32
61 DescribeProducers 0-0 flexible 0
> topics:[{name:topic, partitionIndexes:[i32]}]
< throttleTimeMs:i32, topics:[{name:topic, partitions:[{partitionIndex:i32, errorCode:error, errorMessage:str,
  activeProducers:[{producerId:i64, producerEpoch:i32, lastSequence:i32, lastTimestamp:i64, coordinatorEpoch:i32,
  currentTxnStartOffset:i64}]}]}]
62 BrokerRegistration 0-4 flexible 0
> brokerId:i32, clusterID:str, incarnationId:uuid, listeners:[{name:str, host:str, port:u16, securityProtocol:i16}],
  features:[{name:str, minSupportedVersion:i16, maxSupportedVersion:i16}], rack:str, isMigratingZkBroker:bool 1+,
  logDirs:[uuid] 2+, previousBrokerEpoch:i64 3+
< throttleTimeMs:i32, errorCode:error, brokerEpoch:i64
63 BrokerHeartbeat 0-2 flexible 0
> brokerId:i32, brokerEpoch:i64, currentMetadataOffset:i64, wantFence:bool, wantShutDown:bool, offlineLogDirs:[uuid]
  1+ #0, cordonedLogDirs:[uuid] 2+ #1
< throttleTimeMs:i32, errorCode:error, isCaughtUp:bool, isFenced:bool, shouldShutDown:bool
64 UnregisterBroker 0-0 flexible 0
> brokerId:i32
< throttleTimeMs:i32, errorCode:error, errorMessage:str
65 DescribeTransactions 0-0 flexible 0
> transactionalIds:[str]
< throttleTimeMs:i32, transactionStates:[{errorCode:error, transactionalID:str, transactionState:str,
  transactionTimeoutMs:i32, transactionStartTimeMs:i64, producerId:i64, producerEpoch:i16, topics:[{topic:topic,
  partitions:[i32]}]}]
66 ListTransactions 0-2 flexible 0
> stateFilters:[str], producerIdFilters:[i64], durationFilter:i64 1+, transactionalIdPattern:str 2+
< throttleTimeMs:i32, errorCode:error, unknownStateFilters:[str], transactionStates:[{transactionalID:str,
  producerId:i64, transactionState:str}]
67 AllocateProducerIds 0-0 flexible 0
> brokerId:i32, brokerEpoch:i64
< throttleTimeMs:i32, errorCode:error, producerIdStart:i64, producerIdLen:i32
68 ConsumerGroupHeartbeat 0-1 flexible 0
> groupId:str, memberId:str, memberEpoch:i32, instanceId:str, rackId:str, rebalanceTimeoutMs:i32,
  subscribedTopicNames:[topic], subscribedTopicRegex:str 1+, serverAssignor:str, topicPartitions:[{topicId:topicid,
  partitions:[i32]}]
< throttleTimeMs:i32, errorCode:error, errorMessage:str, memberId:str, memberEpoch:i32, heartbeatIntervalMs:i32,
  assignment:{topicPartitions:[{topicId:topicid, partitions:[i32]}]}?
69 ConsumerGroupDescribe 0-1 flexible 0
> groupIds:[str], includeAuthorizedOperations:bool
< throttleTimeMs:i32, groups:[{errorCode:error, errorMessage:str, groupId:str, groupState:str, groupEpoch:i32,
  assignmentEpoch:i32, assignorName:str, members:[{memberId:str, instanceId:str, rackId:str, memberEpoch:i32,
  clientId:str, clientHost:str, subscribedTopicNames:[topic], subscribedTopicRegex:str,
  assignment:{topicPartitions:[{topicId:topicid, topicName:topic, partitions:[i32]}]},
  targetAssignment:{topicPartitions:[{topicId:topicid, topicName:topic, partitions:[i32]}]}, memberType:i8 1+}],
  authorizedOperations:i32}]
70 ControllerRegistration 0-0 flexible 0
> controllerID:i32, incarnationId:uuid, zkMigrationReady:bool, listeners:[{name:str, host:str, port:u16,
  securityProtocol:i16}], features:[{name:str, minSupportedVersion:i16, maxSupportedVersion:i16}]
< throttleTimeMs:i32, errorCode:error, errorMessage:str
71 GetTelemetrySubscriptions 0-0 flexible 0
> clientInstanceId:uuid
< throttleTimeMs:i32, errorCode:error, clientInstanceId:uuid, subscriptionId:i32, acceptedCompressionTypes:[i8],
  pushIntervalMs:i32, telemetryMaxBytes:i32, deltaTemporality:bool, requestedMetrics:[str]
72 PushTelemetry 0-0 flexible 0
> clientInstanceId:uuid, subscriptionId:i32, terminating:bool, compressionType:i8, metrics:bytes
< throttleTimeMs:i32, errorCode:error
73 AssignReplicasToDirs 0-0 flexible 0
> brokerId:i32, brokerEpoch:i64, directories:[{id:uuid, topics:[{topicId:topicid,
  partitions:[{partitionIndex:i32}]}]}]
< throttleTimeMs:i32, errorCode:error, directories:[{id:uuid, topics:[{topicId:topicid,
  partitions:[{partitionIndex:i32, errorCode:error}]}]}]
74 ListConfigResources 0-1 flexible 0
> resourceTypes:[i8] 1+
< throttleTimeMs:i32, errorCode:error, configResources:[{resourceName:str, resourceType:i8 1+}]
75 DescribeTopicPartitions 0-0 flexible 0
> topics:[{name:topic}], responsePartitionLimit:i32, cursor:{topicName:topic, partitionIndex:i32}?
< throttleTimeMs:i32, topics:[{errorCode:error, name:topic, topicId:topicid, isInternal:bool,
  partitions:[{errorCode:error, partitionIndex:i32, leaderId:i32, leaderEpoch:i32, replicaNodes:[i32], isrNodes:[i32],
  eligibleLeaderReplicas:[i32], lastKnownElr:[i32], offlineReplicas:[i32]}], topicAuthorizedOperations:i32}],
  nextCursor:{topicName:topic, partitionIndex:i32}?
76 ShareGroupHeartbeat 0-1 flexible 0
> groupId:str, memberId:str, memberEpoch:i32, rackId:str, subscribedTopicNames:[topic]
< throttleTimeMs:i32, errorCode:error, errorMessage:str, memberId:str, memberEpoch:i32, heartbeatIntervalMs:i32,
  assignment:{topicPartitions:[{topicId:topicid, partitions:[i32]}]}?
77 ShareGroupDescribe 0-1 flexible 0
> groupIds:[str], includeAuthorizedOperations:bool
< throttleTimeMs:i32, groups:[{errorCode:error, errorMessage:str, groupId:str, groupState:str, groupEpoch:i32,
  assignmentEpoch:i32, assignorName:str, members:[{memberId:str, rackId:str, memberEpoch:i32, clientId:str,
  clientHost:str, subscribedTopicNames:[topic], assignment:{topicPartitions:[{topicId:topicid, topicName:topic,
  partitions:[i32]}]}}], authorizedOperations:i32}]
78 ShareFetch 0-2 flexible 0
> groupId:str, memberId:str, shareSessionEpoch:i32, maxWaitMs:i32, minBytes:i32, maxBytes:i32, maxRecords:i32 1+,
  batchSize:i32 1+, shareAcquireMode:i8 2+, isRenewAck:bool 2+, topics:[{topicId:topicid,
  partitions:[{partitionIndex:i32, partitionMaxBytes:i32 0, acknowledgementBatches:[{firstOffset:i64, lastOffset:i64,
  acknowledgeTypes:[i8]}]}]}], forgottenTopicsData:[{topicId:topicid, partitions:[i32]}]
< throttleTimeMs:i32, errorCode:error, errorMessage:str, acquisitionLockTimeoutMs:i32 1+, responses:[{topicId:topicid,
  partitions:[{partitionIndex:i32, errorCode:error, errorMessage:str, acknowledgeErrorCode:error,
  acknowledgeErrorMessage:str, currentLeader:{leaderId:i32, leaderEpoch:i32}, records:records,
  acquiredRecords:[{firstOffset:i64, lastOffset:i64, deliveryCount:i16}]}]}], nodeEndpoints:[{nodeId:i32, host:str,
  port:i32, rack:str}]
79 ShareAcknowledge 0-2 flexible 0
> groupId:str, memberId:str, shareSessionEpoch:i32, isRenewAck:bool 2+, topics:[{topicId:topicid,
  partitions:[{partitionIndex:i32, acknowledgementBatches:[{firstOffset:i64, lastOffset:i64,
  acknowledgeTypes:[i8]}]}]}]
< throttleTimeMs:i32, errorCode:error, errorMessage:str, acquisitionLockTimeoutMs:i32 2+, responses:[{topicId:topicid,
  partitions:[{partitionIndex:i32, errorCode:error, errorMessage:str, currentLeader:{leaderId:i32,
  leaderEpoch:i32}}]}], nodeEndpoints:[{nodeId:i32, host:str, port:i32, rack:str}]
80 AddRaftVoter 0-1 flexible 0
> clusterID:str, timeoutMs:i32, voterId:i32, voterDirectoryId:uuid, listeners:[{name:str, host:str, port:u16}],
  ackWhenCommitted:bool 1+
< throttleTimeMs:i32, errorCode:error, errorMessage:str
81 RemoveRaftVoter 0-0 flexible 0
> clusterID:str, voterId:i32, voterDirectoryId:uuid
< throttleTimeMs:i32, errorCode:error, errorMessage:str
82 UpdateRaftVoter 0-0 flexible 0
> clusterID:str, currentLeaderEpoch:i32, voterId:i32, voterDirectoryId:uuid, listeners:[{name:str, host:str,
  port:u16}], kRaftVersionFeature:{minSupportedVersion:i16, maxSupportedVersion:i16}
< throttleTimeMs:i32, errorCode:error, currentLeader:{leaderId:i32, leaderEpoch:i32, host:str, port:i32} #0
83 InitializeShareGroupState 0-0 flexible 0
> groupId:str, topics:[{topicId:topicid, partitions:[{partition:i32, stateEpoch:i32, startOffset:i64}]}]
< results:[{topicId:topicid, partitions:[{partition:i32, errorCode:error, errorMessage:str}]}]
84 ReadShareGroupState 0-0 flexible 0
> groupId:str, topics:[{topicId:topicid, partitions:[{partition:i32, leaderEpoch:i32}]}]
< results:[{topicId:topicid, partitions:[{partition:i32, errorCode:error, errorMessage:str, stateEpoch:i32,
  startOffset:i64, stateBatches:[{firstOffset:i64, lastOffset:i64, deliveryState:i8, deliveryCount:i16}]}]}]
85 WriteShareGroupState 0-1 flexible 0
> groupId:str, topics:[{topicId:topicid, partitions:[{partition:i32, stateEpoch:i32, leaderEpoch:i32, startOffset:i64,
  deliveryCompleteCount:i32 1+, stateBatches:[{firstOffset:i64, lastOffset:i64, deliveryState:i8,
  deliveryCount:i16}]}]}]
< results:[{topicId:topicid, partitions:[{partition:i32, errorCode:error, errorMessage:str}]}]
86 DeleteShareGroupState 0-0 flexible 0
> groupId:str, topics:[{topicId:topicid, partitions:[{partition:i32}]}]
< results:[{topicId:topicid, partitions:[{partition:i32, errorCode:error, errorMessage:str}]}]
87 ReadShareGroupStateSummary 0-1 flexible 0
> groupId:str, topics:[{topicId:topicid, partitions:[{partition:i32, leaderEpoch:i32}]}]
< results:[{topicId:topicid, partitions:[{partition:i32, errorCode:error, errorMessage:str, stateEpoch:i32,
  leaderEpoch:i32, startOffset:i64, deliveryCompleteCount:i32 1+}]}]
88 StreamsGroupHeartbeat 0-0 flexible 0
> groupId:str, memberId:str, memberEpoch:i32, endpointInformationEpoch:i32, instanceId:str, rackId:str,
  rebalanceTimeoutMs:i32, topology:{epoch:i32, subtopologies:[{subtopologyId:str, sourceTopics:[topic],
  sourceTopicRegex:[str], stateChangelogTopics:[{name:topic, partitions:i32, replicationFactor:i16,
  topicConfigs:[{key:str, value:str}]}], repartitionSinkTopics:[topic], repartitionSourceTopics:[{name:topic,
  partitions:i32, replicationFactor:i16, topicConfigs:[{key:str, value:str}]}],
  copartitionGroups:[{sourceTopics:[i16], sourceTopicRegex:[i16], repartitionSourceTopics:[i16]}]}]}?,
  activeTasks:[{subtopologyId:str, partitions:[i32]}], standbyTasks:[{subtopologyId:str, partitions:[i32]}],
  warmupTasks:[{subtopologyId:str, partitions:[i32]}], processId:str, userEndpoint:{host:str, port:u16}?,
  clientTags:[{key:str, value:str}], taskOffsets:[{subtopologyId:str, partition:i32, offset:i64}],
  taskEndOffsets:[{subtopologyId:str, partition:i32, offset:i64}], shutdownApplication:bool
< throttleTimeMs:i32, errorCode:error, errorMessage:str, memberId:str, memberEpoch:i32, heartbeatIntervalMs:i32,
  acceptableRecoveryLag:i32, taskOffsetIntervalMs:i32, status:[{statusCode:i8, statusDetail:str}],
  activeTasks:[{subtopologyId:str, partitions:[i32]}], standbyTasks:[{subtopologyId:str, partitions:[i32]}],
  warmupTasks:[{subtopologyId:str, partitions:[i32]}], endpointInformationEpoch:i32,
  partitionsByUserEndpoint:[{userEndpoint:{host:str, port:u16}, activePartitions:[{topic:topic, partitions:[i32]}],
  standbyPartitions:[{topic:topic, partitions:[i32]}]}]
89 StreamsGroupDescribe 0-0 flexible 0
> groupIds:[str], includeAuthorizedOperations:bool
< throttleTimeMs:i32, groups:[{errorCode:error, errorMessage:str, groupId:str, groupState:str, groupEpoch:i32,
  assignmentEpoch:i32, topology:{epoch:i32, subtopologies:[{subtopologyId:str, sourceTopics:[topic],
  repartitionSinkTopics:[topic], stateChangelogTopics:[{name:topic, partitions:i32, replicationFactor:i16,
  topicConfigs:[{key:str, value:str}]}], repartitionSourceTopics:[{name:topic, partitions:i32, replicationFactor:i16,
  topicConfigs:[{key:str, value:str}]}]}]}?, members:[{memberId:str, memberEpoch:i32, instanceId:str, rackId:str,
  clientId:str, clientHost:str, topologyEpoch:i32, processId:str, userEndpoint:{host:str, port:u16}?,
  clientTags:[{key:str, value:str}], taskOffsets:[{subtopologyId:str, partition:i32, offset:i64}],
  taskEndOffsets:[{subtopologyId:str, partition:i32, offset:i64}], assignment:{activeTasks:[{subtopologyId:str,
  partitions:[i32]}], standbyTasks:[{subtopologyId:str, partitions:[i32]}], warmupTasks:[{subtopologyId:str,
  partitions:[i32]}]}, targetAssignment:{activeTasks:[{subtopologyId:str, partitions:[i32]}],
  standbyTasks:[{subtopologyId:str, partitions:[i32]}], warmupTasks:[{subtopologyId:str, partitions:[i32]}]},
  isClassic:bool}], authorizedOperations:i32}]
90 DescribeShareGroupOffsets 0-1 flexible 0
> groups:[{groupId:str, topics:[{topicName:topic, partitions:[i32]}]}]
< throttleTimeMs:i32, groups:[{groupId:str, topics:[{topicName:topic, topicId:topicid,
  partitions:[{partitionIndex:i32, startOffset:i64, leaderEpoch:i32, lag:i64 1+, errorCode:error,
  errorMessage:str}]}], errorCode:error, errorMessage:str}]
91 AlterShareGroupOffsets 0-0 flexible 0
> groupId:str, topics:[{topicName:topic, partitions:[{partitionIndex:i32, startOffset:i64}]}]
< throttleTimeMs:i32, errorCode:error, errorMessage:str, responses:[{topicName:topic, topicId:topicid,
  partitions:[{partitionIndex:i32, errorCode:error, errorMessage:str}]}]
92 DeleteShareGroupOffsets 0-0 flexible 0
> groupId:str, topics:[{topicName:topic}]
< throttleTimeMs:i32, errorCode:error, errorMessage:str, responses:[{topicName:topic, topicId:topicid,
  errorCode:error, errorMessage:str}]
"""
