import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import {
  type AlertsConfig,
  defaultExpiryDays,
  type Place,
  type ReceiverConfig,
  type ReceiverKind,
  receiverKinds,
  signedKinds,
  urlFault,
} from '../config/alerts.js'
import { CertError, systemCode, toCertError } from '../errors.js'
import type { Address } from '../monitor/receivers/receiver.js'
import { Secret } from '../secret.js'
import { variableOf } from './flag.js'

type Environment = Readonly<Record<string, string | undefined>>

/** One who is to be told, as far as that can be. */
export interface Addressee {
  readonly kind: ReceiverKind
  /** Undefined where not even that can be found out. */
  readonly host: string | undefined
  /** How messages name it: by kind and host, since its URL holds a token. */
  readonly called: string
  readonly address: Address | CertError
  /** By which it is known again in the next run; gives nothing of its URL away. */
  readonly key: string
}

export interface PingPlace {
  readonly host: string | undefined
  readonly url: string | CertError
}

/** A URL in an argument would be seen by everybody on the machine: there is no flag for it. */
const variable = (kind: ReceiverKind): string => variableOf(`alert-${kind}`)
const secretVariable = (kind: ReceiverKind): string => `${variable(kind)}_SECRET`
const pingVariable = variableOf('alert-ping')

export const hasAlertVariable = (environment: Environment): boolean =>
  [...receiverKinds.map(variable), pingVariable].some((name) => Boolean(environment[name]))

/** Who is named by a variable is told in the place of those in the file. */
export const alertSettings = (config: AlertsConfig | undefined, environment: Environment): AlertsConfig | undefined => {
  if (config === undefined && !hasAlertVariable(environment)) return undefined
  const named = receiverKinds.flatMap((kind): ReceiverConfig[] => {
    const url = environment[variable(kind)]
    const secret = signedKinds.includes(kind) ? environment[secretVariable(kind)] : undefined
    return url ? [{ kind, url: { text: url }, ...(secret && { secret: { text: secret } }) }] : []
  })
  const ping = environment[pingVariable]
  return {
    expiryDays: defaultExpiryDays,
    ...config,
    to: named.length > 0 ? named : (config?.to ?? []),
    ...(ping && { ping: { text: ping } }),
  }
}

/** Never throws: who cannot be told is one of them. */
export const addresseeOf = async ({ kind, url, secret }: ReceiverConfig): Promise<Addressee> => {
  try {
    const to = await urlAt(url, `the URL of ${kind}`)
    const { host } = new URL(to)
    const key = `${kind} ${createHash('sha256').update(to).digest('hex').slice(0, 16)}`
    const called = `${kind} at ${host}`
    try {
      const signedWith = secret && new Secret(await textAt(secret, `the secret of ${kind}`)).reveal()
      return { kind, host, called, key, address: { url: to, secret: signedWith } }
    } catch (error) {
      return { kind, host, called, key, address: toCertError(error) }
    }
  } catch (error) {
    return { kind, host: undefined, called: kind, key: '', address: toCertError(error) }
  }
}

export const pingPlaceOf = async (place: Place): Promise<PingPlace> => {
  try {
    const url = await urlAt(place, 'the URL to ping')
    return { host: new URL(url).host, url }
  } catch (error) {
    return { host: undefined, url: toCertError(error) }
  }
}

/** @throws CertError CONFIG_INVALID, FILE_UNREADABLE: without a word of what stands there */
const urlAt = async (place: Place, what: string): Promise<string> => {
  const text = await textAt(place, what)
  const fault = urlFault(text)
  if (fault !== undefined) {
    const where = 'file' in place ? `${what} in ${place.file}` : what
    throw new CertError('CONFIG_INVALID', `${where} ${fault}`, { hint: 'acme-oss notify test tries it' })
  }
  hide(text)
  return text
}

const textAt = async (place: Place, what: string): Promise<string> => {
  const text = ('file' in place ? await contentOf(place.file, what) : place.text).trim()
  if (text !== '' && !/\s/.test(text)) return text
  const where = 'file' in place ? ` in ${place.file}` : ''
  throw new CertError('CONFIG_INVALID', `${what}${where} is ${text === '' ? 'empty' : 'not one word'}`, {
    hint: 'write it there and nothing else',
  })
}

const contentOf = async (path: string, what: string): Promise<string> => {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const code = systemCode(error)
    const why = code === 'ENOENT' ? 'there is no such file' : (code ?? String(error))
    throw new CertError('FILE_UNREADABLE', `${what} cannot be read from ${path}: ${why}`, {
      cause: error,
      hint: 'write it into that file, and let nobody else read it: chmod 600',
    })
  }
}

// Parts of a URL that are shorter are words, which stand in other places as well.
const shortestToken = 16

/** Neither the URL nor the token in it is ever shown, nor the name and password that are sent with it. */
const hide = (text: string): void => {
  const { pathname, searchParams, username, password } = new URL(text)
  const parts = [...pathname.split('/'), ...searchParams.values()].filter(({ length }) => length >= shortestToken)
  const credentials = [username, password].map(plain)
  const sent = Buffer.from(credentials.join(':')).toString('base64')
  for (const one of [text, ...parts, username, password, ...credentials, sent]) new Secret(one)
}

const plain = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
