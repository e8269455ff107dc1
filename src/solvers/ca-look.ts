import type { LookupAddress } from 'node:dns'
import http from 'node:http'
import https from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { systemCode } from '../errors.js'
import { lookupLocalhost } from '../http-connections.js'
import { resolverOf } from '../name-server.js'
import { interrupted, withDeadline } from '../patience.js'
import { version } from '../version.js'

/** What a CA would get to see, and where in the end. */
export type Seen = { readonly url: URL; readonly redirected: boolean } & (
  | { readonly kind: 'answer'; readonly status: number; readonly server: string | undefined; readonly body: string }
  /** Nobody answers, as seen from here. */
  | { readonly kind: 'silence'; readonly why: string }
  /** A redirect that no CA follows. */
  | { readonly kind: 'dead end'; readonly why: string }
)

export interface CaLookOptions {
  /** Where CAs follow a redirect to, besides 80 and 443. */
  readonly ports: readonly number[]
  /** As `parseNameServer` gives it; the system's where it is absent. */
  readonly nameServer: string | undefined
  readonly signal: AbortSignal
}

const mostRedirects = 5
// Of all steps together, in ms. CAs give up after ten seconds as well.
const longestLook = 10_000
// No answer to a challenge is longer; in bytes.
const mostRead = 64 * 1024

/**
 * Asks for a URL as a CA does that validates http-01: redirects are followed, and nobody's certificate is looked at.
 * Nothing that is sent is secret.
 * @throws CertError INTERRUPTED
 */
export const lookAsCa = async (first: URL, { ports, nameServer, signal }: CaLookOptions): Promise<Seen> => {
  let url = first
  let redirects = 0
  const redirected = () => redirects > 0
  try {
    return await withDeadline(longestLook, signal, async (limited): Promise<Seen> => {
      for (;;) {
        const { location, ...answer } = await ask(url, lookupAt(nameServer), limited)
        if (location === undefined) return { kind: 'answer', url, redirected: redirected(), ...answer }
        const deadEnd = (why: string): Seen => ({ kind: 'dead end', url, redirected: redirected(), why })
        redirects++
        if (!URL.canParse(location, url.href)) return deadEnd('to nowhere')
        url = new URL(location, url)
        if (redirects > mostRedirects) return deadEnd(`more than ${mostRedirects} times`)
        if (url.protocol !== 'http:' && url.protocol !== 'https:')
          return deadEnd('to something else than http and https')
        if (!ports.includes(portOf(url))) return deadEnd(`to port ${portOf(url)}, and CAs go to 80 and 443 alone`)
      }
    })
  } catch (error) {
    if (signal.aborted) throw interrupted()
    const timedOut = error instanceof Error && error.name === 'TimeoutError'
    const why = timedOut ? 'no answer in time' : (systemCode(error) ?? String(error))
    return { kind: 'silence', url, redirected: redirected(), why }
  }
}

const portOf = ({ port, protocol }: URL): number => Number(port || (protocol === 'https:' ? 443 : 80))

interface Answer {
  readonly status: number
  readonly server: string | undefined
  readonly body: string
  /** Of a redirect. */
  readonly location: string | undefined
}

const ask = (url: URL, lookup: LookupFunction, signal: AbortSignal): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const options = { agent: false, lookup, signal, headers: { 'user-agent': `acme-oss/${version}`, accept: '*/*' } }
    const asking =
      url.protocol === 'https:'
        ? https.get(url, { ...options, rejectUnauthorized: false })
        : http.get(url, { ...options })
    asking.on('error', (error) => reject(signal.aborted ? signal.reason : error))
    asking.on('response', (incoming) => {
      const { statusCode: status = 0, headers } = incoming
      const pieces: Buffer[] = []
      let size = 0
      const done = () => {
        incoming.destroy()
        const body = Buffer.concat(pieces).toString('utf8')
        const location = [301, 302, 303, 307, 308].includes(status) ? headers.location : undefined
        resolve({ status, server: headers['server']?.toString(), body, location })
      }
      incoming.on('data', (piece: Buffer) => {
        pieces.push(piece)
        size += piece.length
        if (size > mostRead) done()
      })
      incoming.on('error', (error) => reject(signal.aborted ? signal.reason : error))
      incoming.on('end', done)
    })
  })

const lookupAt = (nameServer: string | undefined): LookupFunction => {
  if (nameServer === undefined) return lookupLocalhost
  return (hostname, options, callback) => {
    addressesAt(nameServer, hostname).then(
      ([first, ...others]) =>
        options.all ? callback(null, [first, ...others]) : callback(null, first.address, first.family),
      (error: Error) => callback(error, ''),
    )
  }
}

/** Of both kinds, IPv6 first, as CAs have it. */
const addressesAt = async (nameServer: string, hostname: string): Promise<[LookupAddress, ...LookupAddress[]]> => {
  const resolver = resolverOf(nameServer)
  const answers = await Promise.allSettled([resolver.resolve6(hostname), resolver.resolve4(hostname)])
  const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
  const [first, ...others] = found.map((address) => ({ address, family: isIP(address) }))
  if (first !== undefined) return [first, ...others]
  // Most names lack one kind; that the other could not be asked for is the better reason then.
  const reasons = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as Error] : []))
  throw reasons.find((reason) => systemCode(reason) !== 'ENODATA') ?? reasons[0] ?? new Error('no address')
}
