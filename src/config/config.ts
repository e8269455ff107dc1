import { canonicalName } from '../certificate/names.js'
import { CertError } from '../errors.js'
import type { AlertsConfig } from './alerts.js'
import type { Settings } from './option.js'
import type { YamlFile } from './yaml-file.js'

/** What stands in acme-oss.yaml, with the defaults already in every target. */
export interface Config {
  readonly path: string
  readonly account: AccountConfig
  readonly certificates: readonly CertificateConfig[]
  readonly alerts: AlertsConfig | undefined
  /** File, line and path of a place in it, for errors. */
  readonly where: YamlFile['where']
}

export interface AccountConfig {
  readonly email: string | undefined
  readonly agreeTos: boolean
  /** By the name of the CA. */
  readonly eab: Readonly<Record<string, { readonly kid: string; readonly hmacKeyFile: string }>>
}

export interface CertificateConfig {
  readonly name: string
  readonly domains: readonly string[]
  /** How it is issued; absent where a hook delivers it. Keys as the flags are called. */
  readonly issue: Readonly<Record<string, string | number | boolean | readonly string[]>> | undefined
  readonly deploy: readonly TargetConfig[]
}

export interface TargetConfig {
  readonly kind: string
  readonly settings: Settings
}

interface Index {
  readonly byName: ReadonlyMap<string, CertificateConfig>
  bySet: ReadonlyMap<string, readonly CertificateConfig[]> | undefined
}

// Whoever goes through thousands of entries asks for each of them.
const indexes = new WeakMap<Config, Index>()

const indexOf = (config: Config): Index => {
  const known = indexes.get(config)
  if (known !== undefined) return known
  const index = { byName: new Map(config.certificates.map((one) => [one.name, one])), bySet: undefined }
  indexes.set(config, index)
  return index
}

const entriesBySet = ({ certificates }: Config): ReadonlyMap<string, readonly CertificateConfig[]> => {
  const sets = new Map<string, CertificateConfig[]>()
  for (const one of certificates) {
    if (one.domains.length === 0) continue
    const set = nameSet(one.domains)
    const same = sets.get(set)
    if (same === undefined) sets.set(set, [one])
    else same.push(one)
  }
  return sets
}

/** The entry of this name. */
export const certificateNamed = (config: Config, name: string | undefined): CertificateConfig | undefined =>
  name === undefined ? undefined : indexOf(config).byName.get(name)

/**
 * The entry that a certificate belongs to: the one of its name, else the one with exactly its names.
 * @param name undefined where it was not given one
 * @throws CertError CONFIG_INVALID: two have exactly its names
 */
export const findCertificate = (
  config: Config,
  name: string | undefined,
  names: readonly string[],
): CertificateConfig | undefined => {
  const named = certificateNamed(config, name)
  if (named !== undefined) return named
  const index = indexOf(config)
  index.bySet ??= entriesBySet(config)
  const [first, second] = index.bySet.get(nameSet(names)) ?? []
  if (first !== undefined && second !== undefined) {
    throw new CertError(
      'CONFIG_INVALID',
      `${config.path}: ${first.name} and ${second.name} have the same domains as ${name ?? names.join(', ')}`,
      {
        hint:
          name === undefined
            ? 'say with --name which of them it is, or take one out'
            : `name one of them ${name}, or take one out`,
      },
    )
  }
  return first
}

const nameSet = (names: readonly string[]): string =>
  [...new Set(names.map((name) => canonicalName(name) ?? name))].sort().join()
