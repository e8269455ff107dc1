import { isLoopback } from '../loopback.js'

/** Who can be told that something is wrong. */
export const receiverKinds = ['webhook', 'dingtalk', 'feishu', 'wecom', 'slack'] as const
export type ReceiverKind = (typeof receiverKinds)[number]

/** Those whose messages can be signed. */
export const signedKinds: readonly ReceiverKind[] = ['dingtalk', 'feishu']

export const defaultExpiryDays = 30

/** Whom to tell what is wrong; what of it holds a token may lie in a file of its own. */
export interface AlertsConfig {
  readonly to: readonly ReceiverConfig[]
  /** Asked for after a run in which all went well. */
  readonly ping?: Place
  readonly expiryDays: number
}

export interface ReceiverConfig {
  readonly kind: ReceiverKind
  readonly url: Place
  readonly secret?: Place
}

/** Where a text stands that is nobody's business: in a file, or here. */
export type Place = { readonly file: string } | { readonly text: string }

/** The same as it is written. */
export interface AlertsDocument {
  readonly to?: readonly Readonly<Partial<Record<ReceiverKind, ReceiverDocument>>>[]
  readonly ping?: string
  readonly 'ping-file'?: string
  readonly 'expiry-days'?: number
}

interface ReceiverDocument {
  readonly url?: string
  readonly 'url-file'?: string
  readonly 'secret-file'?: string
}

/** @param resolve makes a path absolute */
export const toAlerts = (document: AlertsDocument, resolve: (path: string) => string): AlertsConfig => {
  const placed = (text: string | undefined, file: string | undefined): Place | undefined =>
    file !== undefined ? { file: resolve(file) } : text !== undefined ? { text } : undefined
  const ping = placed(document.ping, document['ping-file'])
  return {
    to: (document.to ?? []).flatMap((entry) =>
      receiverKinds.flatMap((kind) => {
        const given = entry[kind]
        const url = placed(given?.url, given?.['url-file'])
        const secret = placed(undefined, given?.['secret-file'])
        return url === undefined ? [] : [{ kind, url, ...(secret && { secret }) }]
      }),
    ),
    ...(ping && { ping }),
    expiryDays: document['expiry-days'] ?? defaultExpiryDays,
  }
}

/** Why nothing is sent there; undefined for a URL that will do. It is never in it: it may hold a token. */
export const urlFault = (text: string): string | undefined => {
  if (!URL.canParse(text)) return 'has to be a URL that begins with https://'
  const { protocol, hostname } = new URL(text)
  if (protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname))) return undefined
  return 'has to be a URL that begins with https://: what is sent over plain http, everybody on the way can read'
}
