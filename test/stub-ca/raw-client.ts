// ACME by hand, and nothing of it from src/: what the tests of the stub speak to it with.
import { createHmac, createPublicKey, KeyObject, sign, webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import * as x509 from '@peculiar/x509'
import { generateKey } from '../mint.js'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** Parsed where it is JSON; {} otherwise. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look at what they expect to be there
  readonly body: any
}

export interface Signing {
  readonly key?: KeyObject
  /** Signs with the key itself, as newAccount wants it. */
  readonly byKey?: boolean
  readonly alg?: string
  readonly nonce?: string
  /** What it claims to be sent to. */
  readonly url?: string
}

export interface RawOrder {
  readonly url: string
  readonly answer: Answer
}

const base64url = (value: object | string): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

export const jwkOf = (key: KeyObject): object => createPublicKey(key).export({ format: 'jwk' })

const keyPair = webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])

/** With one key for all of them, which nobody here minds. */
export const signingRequest = async (names: readonly string[]): Promise<string> => {
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    keys: await keyPair,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value })),
      ),
    ],
  })
  return Buffer.from(csr.rawData).toString('base64url')
}

/** The private key of every certificate. */
export const certificateKey = async (): Promise<KeyObject> => KeyObject.from((await keyPair).privateKey)

/** A JWS on its own, such as goes into another one. */
export const jws = (header: object, payload: object | '', key: KeyObject): object => {
  const [head, body] = [base64url(header), base64url(payload)]
  const signature = sign('sha256', Buffer.from(`${head}.${body}`), { key, dsaEncoding: 'ieee-p1363' })
  return { protected: head, payload: body, signature: signature.toString('base64url') }
}

export class RawClient {
  key = generateKey('ec256')
  kid = ''
  directory: Readonly<Record<string, string>> = {}
  meta: Readonly<Record<string, unknown>> | undefined
  #nonces: string[] = []

  /** Reads the directory, and registers unless told otherwise. */
  static async start(directoryUrl: string, registers = true): Promise<RawClient> {
    const client = new RawClient()
    const { meta, ...urls } = (await client.get(directoryUrl)).body
    client.directory = urls
    client.meta = meta
    if (registers) await client.register()
    return client
  }

  async get(url: string): Promise<Answer> {
    return toAnswer(await fetch(url))
  }

  async post(url: string, payload: object | '' = '', how: Signing = {}): Promise<Answer> {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/jose+json' },
      body: await this.signed(url, payload, how),
    })
    const nonce = response.headers.get('replay-nonce')
    if (nonce !== null) this.#nonces.push(nonce)
    return toAnswer(response)
  }

  /** What `post` sends. */
  async signed(url: string, payload: object | '', how: Signing = {}): Promise<string> {
    const key = how.key ?? this.key
    const header = {
      alg: how.alg ?? 'ES256',
      nonce: how.nonce ?? this.#nonces.pop() ?? (await this.nonce()),
      url: how.url ?? url,
      ...(how.byKey ? { jwk: jwkOf(key) } : { kid: this.kid }),
    }
    return JSON.stringify(jws(header, payload, key))
  }

  async nonce(): Promise<string> {
    const { headers } = await fetch(this.directory['newNonce'] ?? '', { method: 'HEAD' })
    return headers.get('replay-nonce') ?? ''
  }

  async register(payload: object = {}, how: Signing = {}): Promise<Answer> {
    const answer = await this.post(this.directory['newAccount'] ?? '', payload, { ...how, byKey: true })
    this.kid = answer.headers.get('location') ?? this.kid
    return answer
  }

  /** RFC 8555, 7.3.4. */
  binding(kid: string, secret: string, url = this.directory['newAccount']): object {
    const [head, body] = [base64url({ alg: 'HS256', kid, url }), base64url(jwkOf(this.key))]
    const mac = createHmac('sha256', Buffer.from(secret, 'base64url')).update(`${head}.${body}`)
    return { protected: head, payload: body, signature: mac.digest('base64url') }
  }

  async order(names: readonly string[], more: object = {}): Promise<RawOrder> {
    const identifiers = names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }))
    const answer = await this.post(this.directory['newOrder'] ?? '', { identifiers, ...more })
    return { url: answer.headers.get('location') ?? '', answer }
  }

  /** Answers the first challenge of every name that is pending. */
  async prove({ answer }: RawOrder): Promise<void> {
    for (const url of answer.body.authorizations) {
      const { status, challenges } = (await this.post(url)).body
      if (status === 'pending') await this.post(challenges[0].url, {})
    }
  }

  async finalize({ answer }: RawOrder, names: readonly string[]): Promise<Answer> {
    return this.post(answer.body.finalize, { csr: await signingRequest(names) })
  }

  /** From the order to the chain. */
  async issue(names: readonly string[], more: object = {}): Promise<Answer> {
    const order = await this.order(names, more)
    if (order.answer.status !== 201) return order.answer
    await this.prove(order)
    const { body } = await this.finalize(order, names)
    return this.post(body.certificate)
  }
}

const toAnswer = async (response: Response): Promise<Answer> => {
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : {} }
}
