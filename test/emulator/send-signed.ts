import type { AccessKey } from './access-key.js'
import { signatureV1, stringToSignV1 } from './oss/signature-v1.js'
import { type RawAnswer, type RawRequest, sendRaw } from './send-raw.js'

export interface SignedRawRequest extends Omit<RawRequest, 'host'> {
  /** The bucket's at the public endpoint unless told. */
  readonly host?: string | undefined
  readonly time?: Date
}

/** A request to a bucket, signed by hand with version 1, so that anything can be wrong with it. */
export const sendSigned = (
  port: number,
  bucket: string,
  { method = 'GET', target, host, headers = {}, body, time = new Date() }: SignedRawRequest,
  { id, secret }: Pick<AccessKey, 'id' | 'secret'>,
): Promise<RawAnswer> => {
  const url = new URL(target, 'http://x')
  const dated = { ...headers, 'x-oss-date': time.toUTCString() }
  const signed = stringToSignV1(
    {
      method,
      bucket,
      key: decodeURIComponent(url.pathname.slice(1)),
      parameters: [...url.searchParams],
      headers: Object.fromEntries(Object.entries(dated).map(([name, value]) => [name.toLowerCase(), String(value)])),
    },
    dated['x-oss-date'],
  )
  const authorization = { Authorization: `OSS ${id}:${signatureV1(secret, signed)}` }
  const to = host ?? `${bucket}.oss-cn-hangzhou.aliyuncs.com`
  return sendRaw(port, { method, target, host: to, headers: { ...dated, ...authorization }, body })
}
