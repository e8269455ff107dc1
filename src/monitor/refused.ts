import { isForbidden } from '../aliyun/rpc.js'
import { CertError } from '../errors.js'

/** Was the right missing? */
export const isRefusal = (error: unknown): boolean => isForbidden(error)

/** A bucket in another region refuses in the same words, and says where it is. */
export const isElsewhere = (error: unknown): boolean =>
  error instanceof CertError && /^the bucket is at /.test(error.hint ?? '')
