import { stoppedOrProtected } from './dns-path.js'
import type { Evidence } from './evidence.js'
import { whyNothingHosted } from './placement.js'
import type { BrowserError, Explanation, Problem } from './problem.js'

/** The port took the connection, and no handshake came of it. */
export const refused = (evidence: Evidence, code: string): Problem => {
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') {
    return {
      kind: 'refused',
      browser: 'ERR_SSL_PROTOCOL_ERROR',
      sentence: 'the port answers, but not in TLS',
      cause: 'a server for plain HTTP listens there',
      hint: 'look at the port that serves HTTPS: 443, unless it was changed',
    }
  }
  if (code === 'CERTIFICATE_UNREADABLE') {
    return {
      kind: 'refused',
      browser: 'ERR_CERT_INVALID',
      sentence: 'the certificate served cannot be read',
      cause: 'it is not exact DER, or damaged',
      hint: 'deploy it again as PEM text, as it was issued',
    }
  }
  return {
    kind: 'refused',
    browser: browserWords[code] ?? 'ERR_SSL_PROTOCOL_ERROR',
    sentence: `the TLS handshake is refused (${alertOf(code)})`,
    ...(code === 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION'
      ? { cause: 'the server speaks no TLS newer than 1.1', hint: 'enable TLS 1.2 and 1.3 there' }
      : whyNothingHosted(evidence)),
  }
}

const browserWords: Readonly<Record<string, BrowserError>> = {
  ERR_SSL_TLSV1_UNRECOGNIZED_NAME: 'ERR_SSL_UNRECOGNIZED_NAME_ALERT',
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: 'ERR_SSL_VERSION_OR_CIPHER_MISMATCH',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'ERR_SSL_VERSION_OR_CIPHER_MISMATCH',
  ECONNRESET: 'ERR_CONNECTION_RESET',
}

/** `ERR_SSL_TLSV1_UNRECOGNIZED_NAME` is `unrecognized name`. */
const alertOf = (code: string): string =>
  code === 'ECONNRESET'
    ? 'the connection is broken off'
    : code
        .replace(/^ERR_SSL_((TLSV1|SSLV3)_)?(ALERT_)?/, '')
        .replaceAll('_', ' ')
        .toLowerCase()

/** There is no route to it from a machine without IPv6, say. */
export const isWithoutRoute = (code: string): boolean => ['ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL'].includes(code)

export const unreachable = (evidence: Evidence, code: string): Problem => {
  const sentence = code === 'ECONNREFUSED' ? 'the connection is refused' : `there is no connection (${code})`
  return {
    kind: 'unreachable',
    sentence,
    browser:
      code === 'ECONNREFUSED'
        ? 'ERR_CONNECTION_REFUSED'
        : code === 'ETIMEDOUT'
          ? 'ERR_CONNECTION_TIMED_OUT'
          : isWithoutRoute(code)
            ? 'ERR_ADDRESS_UNREACHABLE'
            : 'ERR_CONNECTION_FAILED',
    ...(isWithoutRoute(code)
      ? {
          cause: 'no way leads there from this machine',
          hint: 'an IPv6 address needs IPv6 on this machine: look from one that has it, or at another address with --connect',
        }
      : whyNobody(evidence)),
  }
}

export const silent = (evidence: Evidence, connected: boolean): Problem => ({
  kind: 'timeout',
  browser: 'ERR_CONNECTION_TIMED_OUT',
  sentence: connected ? 'the port answers, but there is no TLS handshake in time' : 'there is no answer in time',
  ...whyNobody(evidence),
})

const whyNobody = ({ leadsTo, host }: Evidence): Explanation =>
  leadsTo === 'stopped'
    ? stoppedOrProtected(leadsTo, host)
    : {
        cause: 'nothing serves HTTPS there, or a firewall is in the way',
        hint: `see whether DNS of ${host} leads where you mean it to, and whether the port is open`,
      }

/** @param code the resolver's */
export const unresolved = (host: string, name: string, code: string): Problem => ({
  kind: 'unresolved',
  browser: 'ERR_NAME_NOT_RESOLVED',
  sentence: `${name} does not resolve (${code})`,
  ...(code === 'ENOTFOUND' || code === 'ENODATA'
    ? {
        cause:
          name === host
            ? `DNS has no address for ${name}, or not yet`
            : `${name} was given with --connect, and DNS has no address for it`,
        hint: `look for a typing error; add a CNAME for ${name} at its DNS provider, or give an address with --connect`,
      }
    : {
        cause: 'the name server does not answer',
        hint: 'see whether this machine can resolve other names, or ask another name server with --dns-resolver',
      }),
})
