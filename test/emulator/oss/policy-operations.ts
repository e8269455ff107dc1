import { flawOf } from './bucket-policy.js'
import type { Operation } from './operation.js'
import { OssRefusal } from './refusal.js'

const policyCall = (method: 'DELETE' | 'GET' | 'PUT', perform: Operation['perform']): Operation => ({
  action: `oss:${method[0]}${method.slice(1).toLowerCase()}BucketPolicy`,
  method,
  on: 'bucket',
  query: { policy: true },
  data: false,
  perform,
})

/** The policy of a bucket, kept as it was sent, to the byte. */
export const policyOperations: readonly Operation[] = [
  policyCall('GET', ({ bucket: { policy } }) => {
    if (policy === undefined)
      throw new OssRefusal(404, 'NoSuchBucketPolicy', 'The bucket policy does not exist.', '0023-00000304')
    return { status: 200, headers: { 'Content-Type': 'application/json' }, body: Buffer.from(policy) }
  }),
  policyCall('PUT', ({ bucket, request }) => {
    const text = request.body.toString('utf8')
    const flaw = flawOf(text)
    if (flaw !== undefined) throw new OssRefusal(400, 'InvalidPolicyDocument', flaw)
    bucket.policy = text
    return { status: 200 }
  }),
  policyCall('DELETE', ({ bucket }) => {
    bucket.policy = undefined
    return { status: 204 }
  }),
]
