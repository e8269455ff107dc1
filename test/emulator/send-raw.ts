import { Agent, type OutgoingHttpHeaders, request } from 'node:http'

/** A request with nothing added: no SDK between the test and the wire. */
export interface RawRequest {
  readonly method?: string
  /** Path and query as they go over the wire. */
  readonly target: string
  readonly host: string
  /** A list is sent as a header repeated. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  /** Sent with its length; `undefined` sends neither. */
  readonly body?: string | Uint8Array | undefined
}

export interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: string
  /** The `Code` of an XML error, from the body or, for HEAD, from `x-oss-err`. */
  readonly code: string | undefined
}

/** `element('EC', xml)`: the text of the first such element. */
export const xmlText = (name: string, xml: string): string | undefined =>
  new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1]

export const sendRaw = (
  port: number,
  { method = 'GET', target, host, headers, body }: RawRequest,
): Promise<RawAnswer> =>
  new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }
    const agent = new Agent({ keepAlive: false })
    const sent = request({
      port,
      method,
      path: target,
      agent,
      headers: { Host: host, ...headers, ...length } as OutgoingHttpHeaders,
    })
    // Node would announce a chunked body for a PUT that has none.
    if (body === undefined) sent.useChunkedEncodingByDefault = false
    sent.on('error', reject)
    sent.on('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8')
        const hidden = Buffer.from(String(response.headers['x-oss-err'] ?? ''), 'base64').toString('utf8')
        const code = xmlText('Code', text) ?? xmlText('Code', hidden)
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text, code })
      })
    })
    sent.end(body)
  })
