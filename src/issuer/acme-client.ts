import type { KeyObject } from 'node:crypto'
import type { Client as AcmeClient } from 'acme-client'
import type { Secret } from '../secret.js'
import type { AcmeChallenge, Directory } from './protocol.js'

export interface SignerOptions {
  readonly directoryUrl: string
  readonly key: KeyObject
  readonly accountUrl: string | undefined
  readonly externalAccount: ExternalAccount | undefined
  readonly directory: () => Promise<Directory>
  readonly nonce: () => Promise<string>
  /** Sends one signed request. A bad nonce that it hands back is signed anew with the new one. */
  readonly post: (url: string, data: unknown) => Promise<RawAnswer>
}

/** How a CA knows us from its web site (RFC 8555, 7.3.4). */
export interface ExternalAccount {
  readonly kid: string
  readonly hmacKey: Secret
}

export interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly data: unknown
}

/** The part of acme-client that its types leave out: its low-level API, whose pieces are replaced one by one. */
export interface Signer {
  readonly http: {
    accountKey: KeyObject
    maxBadNonceRetries: number
    getDirectory: () => Promise<Directory>
    getNonce: () => Promise<string>
    request: (url: string, method: string, request?: { readonly data?: unknown }) => Promise<RawAnswer>
    /** A JWS without a nonce, by the key itself rather than in the name of an account. */
    createSignedBody(url: string, payload: object): object
    getJwk(): object
  }
  readonly api: {
    apiRequest(
      url: string,
      payload: object | null,
      validStatusCodes: readonly number[],
      options?: { readonly includeJwsKid?: boolean },
    ): Promise<RawAnswer>
    createAccount(data: object): Promise<RawAnswer>
    createOrder(data: object): Promise<RawAnswer>
    getOrder(url: string): Promise<RawAnswer>
    getAuthorization(url: string): Promise<RawAnswer>
    completeChallenge(url: string, data: object): Promise<RawAnswer>
    finalizeOrder(url: string, data: object): Promise<RawAnswer>
  }
  getChallengeKeyAuthorization(challenge: AcmeChallenge): Promise<string>
}

/**
 * The one door to acme-client, which builds and signs requests. Sending is ours: the package's own way posts a signed
 * request anew after a failure, knows no deadline, and hides what a CA says.
 */
export const openSigner = async (options: SignerOptions): Promise<Signer> => {
  const { Client } = await import('acme-client')
  const { key, accountUrl, directoryUrl, externalAccount } = options
  const client = new Client({
    directoryUrl,
    // Only so that there is one; the key itself is set below, which saves parsing it for every signature.
    accountKey: '',
    ...(accountUrl !== undefined && { accountUrl }),
    ...(externalAccount && {
      externalAccountBinding: { kid: externalAccount.kid, hmacKey: externalAccount.hmacKey.reveal() },
    }),
  }) as AcmeClient & Signer
  client.http.accountKey = key
  client.http.maxBadNonceRetries = Number.POSITIVE_INFINITY
  client.http.getDirectory = options.directory
  client.http.getNonce = options.nonce
  client.http.request = async (url, method, request) => {
    if (method !== 'post') throw new Error(`acme-client was not expected to send ${method} by itself`)
    return await options.post(url, request?.data)
  }
  return client
}
