import http from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import { lookupLocalhost } from '../http-connections.js'
import { withDeadline } from '../patience.js'
import { type ConnectTo, connectsOf } from './connect-to.js'

export interface AnonymousLook {
  readonly status: number
  /** Its beginning. */
  readonly body: string
}

// Enough to tell one page from another, in bytes.
const longestBody = 16_384
const timeout = 10_000

export interface Asked {
  /** Scheme, host and port. */
  readonly origin: URL
  /** As the other side is to see it, where that is not the origin's own. */
  readonly host?: string
}

/**
 * What a host shows to anybody who asks for a path; undefined where it shows nothing, for whatever reason.
 * @param path percent-encoded, with its slash in front
 */
export const lookAnonymously = async (
  { origin, host = origin.host }: Asked,
  path: string,
  connect: readonly ConnectTo[],
  signal: AbortSignal,
): Promise<AnonymousLook | undefined> => {
  const [to] = connectsOf(origin.hostname, connect)
  const url = new URL(path, origin)
  return await withDeadline(timeout, signal, (limited) => get(url, host, to, limited)).catch(() => undefined)
}

const get = async (url: URL, host: string, to: ConnectTo | undefined, signal: AbortSignal): Promise<AnonymousLook> => {
  const send = url.protocol === 'http:' ? http.get : https.get
  return await new Promise((resolve, reject) => {
    const request = send(
      {
        host: to?.address ?? url.hostname.replace(/^\[|\]$/g, ''),
        port: to?.port ?? (url.port || (url.protocol === 'http:' ? 80 : 443)),
        ...(isIP(url.hostname) === 0 && { servername: url.hostname }),
        path: url.pathname,
        headers: { host },
        lookup: lookupLocalhost,
        // A stranger does not mind whose certificate it is, and nothing that matters is sent.
        rejectUnauthorized: false,
        agent: false,
        signal,
      },
      (response) => {
        let body = ''
        response.setEncoding('utf8')
        response.on('data', (piece: string) => {
          body += piece
          if (body.length > longestBody) response.destroy()
        })
        response.on('error', reject)
        response.on('close', () => resolve({ status: response.statusCode ?? 0, body: body.slice(0, longestBody) }))
      },
    )
    request.on('error', reject)
  })
}
