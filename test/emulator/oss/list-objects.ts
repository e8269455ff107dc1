import { percentEncode } from '../percent-encoding.js'
import { element, type Xml, xmlDocument } from '../xml.js'
import type { Bucket, StoredObject } from './bucket.js'
import { owner } from './bucket-reads.js'
import type { Operation, OssCall, Outcome } from './operation.js'
import { invalidArgument } from './refusal.js'

/** One line of the answer: an object, or a folder of them. */
type Entry = { readonly name: string; readonly object: StoredObject | undefined }

const bytewise = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

const entries = (bucket: Bucket, prefix: string, delimiter: string): readonly Entry[] => {
  const found = new Map<string, Entry>()
  for (const [key, object] of bucket.objects) {
    if (!key.startsWith(prefix)) continue
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
    const name = cut < 0 ? key : key.slice(0, cut + delimiter.length)
    found.set(name, { name, object: cut < 0 ? object : undefined })
  }
  return [...found.values()].toSorted((a, b) => bytewise(a.name, b.name))
}

const limit = (text: string | undefined): number => {
  const max = Number(text ?? 100)
  if (Number.isInteger(max) && max >= 1 && max <= 1000) return max
  throw invalidArgument('Argument max-keys must be an integer between 1 and 1000.', 'max-keys', text ?? '')
}

const contents = (name: Xml, object: StoredObject, withOwner: boolean): Xml =>
  element('Contents', [
    name,
    element('LastModified', object.lastModified.toISOString()),
    element('ETag', `"${object.etag}"`),
    element('Type', 'Normal'),
    element('Size', object.body.length),
    element('StorageClass', 'Standard'),
    withOwner ? owner : undefined,
  ])

const perform = ({ request: { query }, bucket }: OssCall): Outcome => {
  const { prefix = '', delimiter = '', 'encoding-type': encoding, 'continuation-token': token } = query
  if (encoding !== undefined && encoding !== 'url')
    throw invalidArgument('Invalid Encoding Method specified in Request.', 'encoding-type', encoding)
  const written = (name: string, text: string): Xml => element(name, encoding === 'url' ? percentEncode(text) : text)
  const max = limit(query['max-keys'])
  const startAfter = query['start-after'] ?? ''
  const after = token === undefined ? startAfter : Buffer.from(token, 'base64').toString('utf8')
  const rest = entries(bucket, prefix, delimiter).filter(({ name }) => after === '' || bytewise(name, after) > 0)
  const page = rest.slice(0, max)
  const next = rest.length > max ? page.at(-1)?.name : undefined
  return {
    status: 200,
    headers: { 'Content-Type': 'application/xml' },
    body: xmlDocument(
      element('ListBucketResult', [
        element('Name', bucket.name),
        written('Prefix', prefix),
        startAfter === '' ? undefined : written('StartAfter', startAfter),
        element('MaxKeys', max),
        written('Delimiter', delimiter),
        encoding === undefined ? undefined : element('EncodingType', encoding),
        element('IsTruncated', next !== undefined),
        ...page.map(({ name, object }) =>
          object === undefined
            ? element('CommonPrefixes', [written('Prefix', name)])
            : contents(written('Key', name), object, query['fetch-owner'] === 'true'),
        ),
        element('KeyCount', page.length),
        token === undefined ? undefined : written('ContinuationToken', token),
        next === undefined ? undefined : written('NextContinuationToken', Buffer.from(next).toString('base64')),
      ]),
    ),
  }
}

export const listObjectsV2: Operation = {
  action: 'oss:ListObjects',
  method: 'GET',
  on: 'bucket',
  query: { 'list-type': '2' },
  data: true,
  perform,
}
