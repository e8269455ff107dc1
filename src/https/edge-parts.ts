import type { EdgeCertificate } from '../aliyun/edge-domains.js'
import type { EdgeFunction } from '../aliyun/edge-functions.js'
import { CertError } from '../errors.js'
import type { HttpsFacts, HttpsParts } from './https-place.js'
import type { TlsVersion } from './https-wish.js'

/** The functions that are looked at and changed, each a part of its own. */
export const edgeFunctionNames = [
  'http_force',
  'https_tls_version',
  'https_option',
  'gzip',
  'brotli',
  'https_force',
  'HSTS',
] as const
export type EdgeFunctionName = (typeof edgeFunctionNames)[number]

/** Is HTTPS on, and with which certificate. */
export const httpsPart = 'https'
/** What holds under a rule alone: told, and never touched. Null where there is none. */
export const rulesPart = 'rules'

export type Arguments = Readonly<Record<string, string>>

/** Equal texts mean the same, in whatever order the product tells the arguments. */
export const textOfArguments = (args: Arguments | undefined): string | null =>
  args === undefined ? null : JSON.stringify(Object.fromEntries(Object.entries(args).sort(byName)))

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number =>
  a < b ? -1 : a > b ? 1 : 0

/** @throws CertError STATE_UNUSABLE: that is none of our texts */
export const argumentsIn = (text: string | null | undefined): Arguments | undefined => {
  if (text === null || text === undefined) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = undefined
  }
  if (isArguments(value)) return value
  throw new CertError('STATE_UNUSABLE', 'what was saved of a domain cannot be read', {
    hint: 'put it back by hand in the console',
  })
}

const isArguments = (value: unknown): value is Arguments =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.values(value).every((one) => typeof one === 'string')

/**
 * The one of this name that always holds.
 * @param place as the reader would name it
 * @throws CertError CLOUD_REFUSED: which of several does cannot be known
 */
export const theFunction = (
  functions: readonly EdgeFunction[],
  name: string,
  place: string,
): { readonly id: string; readonly args: Arguments } | undefined => {
  const [found, ...more] = functions.filter((one) => one.name === name && one.rule === undefined)
  if (found === undefined) return undefined
  const args = Object.fromEntries(found.args)
  if (more.length === 0 && Object.keys(args).length === found.args.length) return { id: found.id, args }
  throw new CertError('CLOUD_REFUSED', `the ${place} has ${name}, or something in it, more than once`, {
    hint: 'look at the domain in the console and leave one: which of them holds is not known',
  })
}

export const textOfRules = (functions: readonly EdgeFunction[]): string | null => {
  const held = functions.filter(({ rule }) => rule !== undefined).map(({ name, rule, args }) => ({ name, rule, args }))
  return held.length === 0 ? null : JSON.stringify(held.sort((a, b) => byName([a.name, 0], [b.name, 0])))
}

/** Names of functions, as often as they hold under a rule. */
export const rulesIn = (parts: HttpsParts): readonly string[] => {
  const text = parts[rulesPart]
  return text ? (JSON.parse(text) as readonly { readonly name: string }[]).map(({ name }) => name) : []
}

/** Without what changes with every certificate that is handed over, there would be nothing to bind again. */
export const textOfHttps = ({ https, name, kept }: EdgeCertificate): string | null =>
  textOfArguments(
    https
      ? { https: 'on', ...(name !== undefined && { name }), ...(kept && { id: kept.id, region: kept.region }) }
      : { https: 'off' },
  )

/** In the order in which they came. */
export const tlsArguments = {
  '1.0': 'tls10',
  '1.1': 'tls11',
  '1.2': 'tls12',
  '1.3': 'tls13',
} as const satisfies Record<TlsVersion, string>

export const isOn = (value: string | undefined): boolean => value?.toLowerCase() === 'on'

export const maxAgeIn = (args: Arguments | undefined): number => {
  const seconds = Number(args?.['https_hsts_max_age'])
  return Number.isSafeInteger(seconds) ? seconds : 0
}

/** @throws CertError STATE_UNUSABLE */
export const factsOf = (parts: HttpsParts): HttpsFacts => {
  const known = (part: string): boolean => parts[part] !== undefined
  const args = (part: string): Arguments | undefined => argumentsIn(parts[part])
  const toggled = (part: EdgeFunctionName, name: string): boolean | null =>
    known(part) ? isOn(args(part)?.[name]) : null
  const redirects = toggled('https_force', 'enable')
  const tls = args('https_tls_version')
  const spoken = Object.entries(tlsArguments).flatMap(([version, name]) => (isOn(tls?.[name]) ? [version] : []))
  const hsts = args('HSTS')
  return {
    https: known(httpsPart) ? isOn(args(httpsPart)?.['https']) : null,
    plainHttp: redirects === null ? null : redirects ? 'redirected' : 'answered',
    redirectCode: redirects ? Number(args('https_force')?.['https_rewrite']) || null : null,
    tls: spoken.length === 0 ? null : spoken,
    hsts: isOn(hsts?.['enabled'])
      ? {
          maxAge: maxAgeIn(hsts),
          includeSubdomains: isOn(hsts?.['https_hsts_include_subdomains']),
          preload: isOn(hsts?.['https_hsts_preload']),
        }
      : null,
    http2: toggled('https_option', 'http2'),
    gzip: toggled('gzip', 'enable'),
    brotli: toggled('brotli', 'enable'),
  }
}
