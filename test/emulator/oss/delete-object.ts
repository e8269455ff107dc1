import { randomBytes } from 'node:crypto'
import type { Operation } from './operation.js'

/** 204 also when there is nothing. A versioned bucket keeps the data and sets a delete marker; here it is gone. */
export const deleteObject: Operation = {
  action: 'oss:DeleteObject',
  method: 'DELETE',
  on: 'object',
  data: true,
  perform({ bucket, key }) {
    bucket.objects.delete(key)
    if (bucket.versioning === undefined) return { status: 204 }
    const versionId = bucket.versioning === 'Enabled' ? randomBytes(32).toString('base64url') : 'null'
    return { status: 204, headers: { 'x-oss-delete-marker': 'true', 'x-oss-version-id': versionId } }
  },
}
