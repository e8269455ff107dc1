import { decide } from '../permissions.js'
import { deniedByRam } from './authorize.js'
import type { StoredObject } from './bucket.js'
import type { Operation, OssCall, Outcome } from './operation.js'
import { noSuchKey, OssRefusal } from './refusal.js'

/** A key that may not list can be kept from learning which objects exist. */
const missing = ({ sender, bucket, key }: OssCall): OssRefusal => {
  if (sender?.hideMissing) {
    const verdict = decide(sender, 'oss:ListObjects', bucket.name)
    if (verdict !== 'allowed') return deniedByRam(sender, 'oss:ListObjects', verdict)
  }
  return noSuchKey(key)
}

const find = (call: OssCall): StoredObject => {
  const object = call.bucket.objects.get(call.key)
  if (object === undefined) throw missing(call)
  const { versionId: wanted } = call.request.query
  if (wanted === undefined || wanted === (object.versionId ?? 'null')) return object
  throw new OssRefusal(404, 'NoSuchVersion', 'The specified version does not exist.')
}

const names = (header: string, etag: string): boolean =>
  header.split(',').some((item) => item.trim() === '*' || item.trim().replaceAll('"', '').toUpperCase() === etag)

const seconds = (date: Date): number => Math.floor(date.getTime() / 1000)

/** Whether the client's copy is still good. Throws where a condition on the object does not hold. */
const unchanged = ({ request: { headers } }: OssCall, object: StoredObject): boolean => {
  const { 'if-match': match, 'if-none-match': noneMatch } = headers
  const { 'if-modified-since': since, 'if-unmodified-since': unmodified } = headers
  const broken =
    (match !== undefined && !names(match, object.etag)) ||
    (unmodified !== undefined && seconds(object.lastModified) > seconds(new Date(unmodified)))
  if (broken)
    throw new OssRefusal(412, 'PreconditionFailed', 'At least one of the pre-conditions you specified did not hold.')
  if (noneMatch !== undefined) return names(noneMatch, object.etag)
  return since !== undefined && seconds(object.lastModified) <= seconds(new Date(since))
}

const describe = (object: StoredObject): Record<string, string> => ({
  ...object.headers,
  'Accept-Ranges': 'bytes',
  'Content-MD5': object.md5,
  ETag: `"${object.etag}"`,
  'Last-Modified': object.lastModified.toUTCString(),
  'x-oss-hash-crc64ecma': object.crc64,
  'x-oss-object-type': 'Normal',
  'x-oss-storage-class': 'Standard',
  ...(object.sse === undefined ? {} : { 'x-oss-server-side-encryption': object.sse }),
  ...(object.versionId === undefined ? {} : { 'x-oss-version-id': object.versionId }),
  ...Object.fromEntries(Object.entries(object.meta).map(([name, value]) => [`x-oss-meta-${name}`, value])),
})

const overrides = (query: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(query)
      .filter(([name]) => name.startsWith('response-'))
      .map(([name, value]) => [name.slice('response-'.length), value]),
  )

/** A range that cannot be served is ignored, as OSS does unless asked for standard behaviour. */
const rangeOf = (header: string | undefined, size: number): { start: number; end: number } | undefined => {
  const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? []
  if (from === '' && to === '') return undefined
  const start = from === '' ? Math.max(0, size - Number(to)) : Number(from)
  const end = from === '' || to === '' ? size : Math.min(size, Number(to) + 1)
  return start < end ? { start, end } : undefined
}

const read = (call: OssCall): Outcome => {
  const object = find(call)
  if (unchanged(call, object)) return { status: 304, headers: { ETag: `"${object.etag}"` } }
  const headers = { ...describe(object), ...overrides(call.request.query) }
  const { range: wanted } = call.request.headers
  const range = rangeOf(wanted, object.body.length)
  if (range === undefined) return { status: 200, headers, body: object.body }
  const { start, end } = range
  return {
    status: 206,
    headers: { ...headers, 'Content-Range': `bytes ${start}-${end - 1}/${object.body.length}` },
    body: object.body.subarray(start, end),
  }
}

export const getObject: Operation = { action: 'oss:GetObject', method: 'GET', on: 'object', data: true, perform: read }

export const headObject: Operation = { ...getObject, method: 'HEAD' }
