import { element } from '../xml.js'
import { checkDigest } from './digest.js'
import type { Operation, OssCall, Outcome } from './operation.js'
import { accessDenied, invalidArgument, OssRefusal } from './refusal.js'

const acls = ['default', 'private', 'public-read', 'public-read-write']

const checkKey = (key: string): void => {
  if (Buffer.byteLength(key) <= 1023 && !/^[/\\]/.test(key)) return
  throw new OssRefusal(400, 'InvalidObjectName', 'The specified object is not valid.', undefined, [
    element('ObjectName', key),
  ])
}

/** OSS has no compare-and-swap; it refuses rather than ignores the headers that would ask for one. */
const checkPreconditions = ({ request }: OssCall): void => {
  const names = ['If-Modified-Since', 'If-Unmodified-Since', 'If-Match', 'If-None-Match']
  const header = names.find((name) => request.headers[name.toLowerCase()] !== undefined)
  if (header === undefined) return
  throw new OssRefusal(
    400,
    'NotImplemented',
    'A header you provided implies functionality that is not implemented.',
    undefined,
    [element('Header', header)],
  )
}

const checkLength = ({ request: { headers } }: OssCall): void => {
  if (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined) return
  throw new OssRefusal(411, 'MissingContentLength', 'You must provide the Content-Length HTTP header.')
}

const checkAcl = ({ request, bucket, sender, demand }: OssCall): void => {
  const acl = request.headers['x-oss-object-acl']
  if (acl === undefined) return
  if (!acls.includes(acl)) throw invalidArgument('no such object access control exists', 'x-oss-object-acl', acl)
  if (!sender?.aclHeaderNeedsNothing) demand('oss:PutObjectAcl')
  // The vendor's wording is not known.
  if (bucket.blockPublicAccess && acl.startsWith('public')) throw accessDenied('Put public object acl is not allowed.')
}

const checkEncryption = ({ request, demand }: OssCall): void => {
  const method = request.headers['x-oss-server-side-encryption']
  // Whoever has the service encrypt with a key of KMS has to be let use it.
  if (method === 'KMS') for (const action of ['kms:GenerateDataKey', 'kms:Decrypt']) demand(action, 'key/chosen-by-oss')
  if (method === undefined || ['AES256', 'KMS', 'SM4'].includes(method)) return
  throw new OssRefusal(
    400,
    'InvalidEncryptionAlgorithmError',
    'The Encryption request you specified is not valid. Supported value: AES256/KMS/SM4.',
  )
}

const checkMetadata = ({ request }: OssCall): void => {
  const prefix = 'x-oss-meta-'
  const meta = Object.entries(request.headers).filter(([name]) => name.startsWith(prefix))
  const bad = meta.find(([name]) => !/^[a-z0-9-]+$/.test(name.slice(prefix.length)))
  if (bad !== undefined) throw invalidArgument('The metadata name is not valid.', bad[0], bad[1])
  const size = meta.reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value), 0)
  if (size > 8 * 1024) throw invalidArgument('The metadata is larger than 8 KB.', `${prefix}*`, String(size))
}

/** OSS itself ignores the header once versioning was ever on. */
const checkOverwrite = ({ request, bucket, key }: OssCall): void => {
  const wanted = request.headers['x-oss-forbid-overwrite']
  if (wanted !== undefined && wanted !== 'true' && wanted !== 'false')
    throw invalidArgument('The value must be true or false.', 'x-oss-forbid-overwrite', wanted)
  if (wanted !== 'true' || bucket.versioning !== undefined || !bucket.objects.has(key)) return
  throw new OssRefusal(
    409,
    'FileAlreadyExists',
    'The object you specified already exists and can not be overwritten.',
    '0026-00000052',
  )
}

const perform = (call: OssCall): Outcome => {
  const { request, bucket, key, now } = call
  checkKey(key)
  checkPreconditions(call)
  checkLength(call)
  checkAcl(call)
  if (request.headers['x-oss-tagging'] !== undefined) call.demand('oss:PutObjectTagging')
  checkEncryption(call)
  checkMetadata(call)
  checkOverwrite(call)
  checkDigest(call.request)
  const stored = bucket.store(key, request.body, request.headers, now)
  return {
    status: 200,
    headers: {
      ETag: `"${stored.etag}"`,
      'Content-MD5': stored.md5,
      'x-oss-hash-crc64ecma': stored.crc64,
      ...(stored.versionId === undefined ? {} : { 'x-oss-version-id': stored.versionId }),
      ...(stored.sse === undefined ? {} : { 'x-oss-server-side-encryption': stored.sse }),
    },
  }
}

export const putObject: Operation = { action: 'oss:PutObject', method: 'PUT', on: 'object', data: true, perform }
