/** One setting of a domain, as CDN and DCDN know it. */
export interface EdgeFunction {
  /** A number, as text. */
  readonly id: string
  readonly name: string
  readonly args: Readonly<Record<string, string>>
  /** The rule under which it holds; undefined where it always does. */
  readonly parentId?: string | undefined
}

/** What can be set without a request. */
export type GivenFunctions = readonly Omit<EdgeFunction, 'id'>[]

const onOff = /^(?:on|off)$/
const code = /^(?:301|308)$/

/** The functions that are known here, and what their arguments may be; those with `!` must be there. */
const known: Readonly<Record<string, Readonly<Record<string, RegExp>>>> = {
  https_force: { 'enable!': onOff, https_rewrite: code },
  http_force: { 'enable!': onOff, http_rewrite: code },
  HSTS: {
    'enabled!': onOff,
    'https_hsts_max_age!': /^\d{1,10}$/,
    https_hsts_include_subdomains: onOff,
    // In no document; what the console sends is called so.
    https_hsts_preload: onOff,
  },
  https_option: { http2: onOff, ocsp_stapling: onOff },
  https_tls_version: {
    tls10: onOff,
    tls11: onOff,
    tls12: onOff,
    tls13: onOff,
    ciphersuitegroup: /^(?:all|strict|custom)$/,
    ciphersuite: /^[A-Z0-9_,-]*$/,
  },
  gzip: { 'enable!': onOff },
  brotli: { 'enable!': onOff, brotli_level: /^(?:[1-9]|1[01])$/ },
  iquic: { 'enable!': onOff },
}

/** Why the product would not take it; undefined where it would. */
export const flawOf = ({ name, args }: Pick<EdgeFunction, 'name' | 'args'>): string | undefined => {
  const shapes = Object.hasOwn(known, name) ? known[name] : undefined
  if (shapes === undefined) return `there is no function ${name}`
  const demanded = Object.keys(shapes).filter((one) => one.endsWith('!'))
  const missing = demanded.find((one) => args[one.slice(0, -1)] === undefined)
  if (missing !== undefined) return `${name} lacks ${missing.slice(0, -1)}`
  const wrong = Object.entries(args).find(([arg, value]) => !(shapes[arg] ?? shapes[`${arg}!`])?.test(value))
  return wrong && `${name} does not take ${wrong[0]}=${wrong[1]}`
}

/** Neither is taken while the other one is there, on or off. */
export const opposites: Readonly<Record<string, string>> = { https_force: 'http_force', http_force: 'https_force' }

/** What a domain does for those who come by it: of each function, the arguments of the one that always holds. */
export const inForce = (functions: readonly EdgeFunction[], name: string): Readonly<Record<string, string>> =>
  functions.find((one) => one.name === name && one.parentId === undefined)?.args ?? {}
