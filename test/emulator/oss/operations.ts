import type { WireRequest } from '../wire-request.js'
import { bucketReads } from './bucket-reads.js'
import { cnameOperations } from './cname-operations.js'
import { deleteObject } from './delete-object.js'
import { httpsConfigOperations } from './https-config.js'
import { listObjectsV2 } from './list-objects.js'
import type { Operation } from './operation.js'
import { policyOperations } from './policy-operations.js'
import { putObject } from './put-object.js'
import { getObject, headObject } from './read-object.js'
import { choosesOperation } from './subresources.js'

/** Every call that the emulator knows. */
const operations: readonly Operation[] = [
  putObject,
  getObject,
  headObject,
  deleteObject,
  listObjectsV2,
  ...bucketReads,
  ...cnameOperations,
  ...httpsConfigOperations,
  ...policyOperations,
]

const asked = (query: Operation['query'], request: WireRequest): boolean =>
  Object.entries(query ?? {}).every(([name, value]) => {
    const given = request.query[name]
    return value === true ? given !== undefined : given === value
  })

/**
 * `undefined` for what is not built: a parameter that chooses an operation of its own must not be passed over, or
 * PutObjectACL would pass for an upload.
 */
export const operationFor = (request: WireRequest, key: string): Operation | undefined => {
  // A copy carries its source in a header instead.
  if (request.headers['x-oss-copy-source'] !== undefined) return undefined
  const choosing = Object.keys(request.query).filter(choosesOperation)
  return operations.find(
    ({ method, on, query }) =>
      method === request.method &&
      (on === 'object') === (key !== '') &&
      asked(query, request) &&
      choosing.every((name) => query !== undefined && name in query),
  )
}
