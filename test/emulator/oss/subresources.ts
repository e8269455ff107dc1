/** Parameters that choose another operation on the same path. */
const operations = [
  'accessPoint', 'acl', 'append', 'asyncFetch', 'bucketInfo', 'callback', 'cloudboxes', 'cname', 'comp', 'cors',
  'delete', 'encryption', 'endTime', 'httpsConfig', 'img', 'inventory', 'inventoryId', 'lifecycle', 'live',
  'location', 'logging', 'metaQuery', 'objectMeta', 'overwriteConfig', 'partNumber', 'policy', 'policyStatus',
  'position', 'publicAccessBlock', 'qos', 'qosInfo', 'referer', 'regionList', 'replication', 'replicationLocation',
  'replicationProgress', 'requestPayment', 'resourceGroup', 'restore', 'rtc', 'startTime', 'stat', 'status', 'style',
  'styleName', 'symlink', 'tagging', 'transferAcceleration', 'uploadId', 'uploads', 'versioning', 'versions', 'vod',
  'website', 'worm', 'wormExtend', 'wormId', 'x-oss-process', 'x-oss-async-process',
] // biome-ignore format: a table of words

/** Parameters that only refine one. */
const refinements = [
  'callback-var', 'continuation-token', 'response-cache-control', 'response-content-disposition',
  'response-content-encoding', 'response-content-language', 'response-content-type', 'response-expires',
  'security-token', 'sequential', 'versionId',
] // biome-ignore format: a table of words

const operationSet: ReadonlySet<string> = new Set(operations)
const signed: ReadonlySet<string> = new Set([...operations, ...refinements])

/** Whether a parameter asks for an operation of its own, so that an emulator that lacks it must say so. */
export const choosesOperation = (name: string): boolean => operationSet.has(name)

/** Whether version 1 signs a parameter. Others (prefix, max-keys, list-type, ...) travel unsigned. */
export const signedInVersion1 = (name: string): boolean => signed.has(name) || name.startsWith('x-oss-')
