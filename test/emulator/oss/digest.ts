import { createHash } from 'node:crypto'
import type { WireRequest } from '../wire-request.js'
import { element } from '../xml.js'
import { OssRefusal } from './refusal.js'

/** A digest of the body is optional, but where one is given it must be true. */
export const checkDigest = (request: WireRequest): void => {
  const digest = request.headers['content-md5']
  if (digest === undefined || digest === createHash('md5').update(request.body).digest('base64')) return
  throw new OssRefusal(400, 'InvalidDigest', 'The Content-MD5 you specified was invalid.', undefined, [
    element('Content-MD5', digest),
  ])
}
