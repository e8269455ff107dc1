import { type CertificateConfig, type Config, findCertificate } from '../config/config.js'
import { findConfig, loadConfig } from '../config/load.js'
import type { Place } from '../config/yaml-file.js'
import { CertError, isInputError, toCertError } from '../errors.js'
import { HttpConnections } from '../http-connections.js'
import { configCache } from '../state/config-cache.js'
import type { StateFolder } from '../state/state-folder.js'
import { createTarget, targetOptions } from '../targets/index.js'
import type { Surroundings } from './command.js'
import type { Common } from './common-flags.js'
import {
  type AskedTarget,
  aboutBuckets,
  askedCommand,
  askedTargets,
  requireNone,
  type TargetValues,
  withReach,
} from './target-flags.js'
import type { Terminal } from './terminal.js'

/**
 * The configuration that counts, if there is one.
 * @param typed by a person, who may have one in the current folder; hooks and timers stand anywhere
 * @param state where to keep what it says for the next run; commands that only look at things are not to make anything
 * @throws CertError CONFIG_INVALID, FILE_UNREADABLE
 */
export const openConfig = async (
  { config }: Pick<Common, 'config'>,
  surroundings: Surroundings,
  typed: boolean,
  state?: StateFolder,
): Promise<Config | undefined> => {
  const path = await configPath({ config }, surroundings, typed)
  return path === undefined ? undefined : await loadConfig(path, targetOptions, state && configCache(state))
}

/** @throws CertError CONFIG_INVALID */
export const configPath = (
  { config }: Pick<Common, 'config'>,
  { homeFolder, folder, userId }: Surroundings,
  typed: boolean,
): Promise<string | undefined> => findConfig({ given: config, homeFolder, folder: typed ? folder : undefined, userId })

export interface Wish {
  readonly values: Common
  /** Read only now: what is wrong with them is no reason to lose a certificate that was handed over. */
  readonly targetValues: () => TargetValues
  readonly config: () => Promise<Config | undefined>
  readonly surroundings: Surroundings
  readonly terminal: Terminal
  readonly typed: boolean
}

/**
 * Where a certificate is to go: where flags and variables say, else where its entry in the configuration does.
 * @throws CertError USAGE, CONFIG_INVALID, FILE_UNREADABLE
 */
export const wantedTargets = async (
  { values, targetValues, config: open, surroundings, terminal, typed }: Wish,
  { name, names }: { readonly name: string; readonly names: readonly string[] },
): Promise<AskedTarget[]> => {
  const flags = targetValues()
  const asked = askedTargets(flags)
  if (asked.length > 0) {
    await sayThatFileIsLeftAside(values, surroundings, terminal, typed)
    return asked
  }
  const config = await open()
  const entry = config && findCertificate(config, name, names)
  if (entry === undefined) requireNone(flags, aboutBuckets)
  return targetsOfEntry(...requireTargets(config, entry, name), flags)
}

/** Flags and variables that name targets beat the file, whatever it says. */
export const sayThatFileIsLeftAside = async (
  values: Pick<Common, 'config'>,
  surroundings: Surroundings,
  terminal: Terminal,
  typed: boolean,
): Promise<void> => {
  const path = await configPath(values, surroundings, typed).catch(() => undefined)
  if (path !== undefined) terminal.progress(`targets were given: what ${path} says of them is left aside`)
}

/**
 * An entry's targets, with what flags say of how to reach them, and the command that they add.
 * @throws CertError CONFIG_INVALID: one cannot be made, as the file has it
 */
export const targetsOfEntry = (config: Config, entry: CertificateConfig, flags: TargetValues): AskedTarget[] => {
  const reached = withReach(flags, entry.deploy)
  // What a flag can mend is no fault of the file's, and what a flag spoils is not either.
  const spoilt = reached.findIndex((target) => !isUsable(target))
  if (spoilt >= 0) requireTarget(config, entry, spoilt)
  return [...reached, ...askedCommand(flags)]
}

const isUsable = (target: AskedTarget): boolean => {
  try {
    return targetName(target) !== ''
  } catch {
    return false
  }
}

/**
 * A target is made, since only it knows what a bucket may be called; nothing is reached for.
 * @throws CertError USAGE
 */
export const targetName = ({ kind, settings }: AskedTarget): string => {
  const connections = new HttpConnections()
  const credentials = () => Promise.reject(new CertError('INTERNAL', 'nothing is reached for here'))
  try {
    return createTarget(kind, settings, { connections, credentials, timeout: 1, now: () => new Date() }).name
  } finally {
    connections.close()
  }
}

/**
 * What the reader would call one of an entry's targets.
 * @throws CertError CONFIG_INVALID: it cannot be made
 */
export const requireTarget = (config: Config, { name, deploy }: CertificateConfig, i: number): string => {
  const target = deploy[i]
  if (target === undefined) throw new CertError('INTERNAL', `${name} has no target ${i}`)
  return inPlace(config, ['certificates', name, 'deploy', i, target.kind], () => targetName(target))
}

/** Whatever is refused in there is a fault of this place in the file. */
export const inPlace = <T>(config: Config, place: Place, work: () => T): T => {
  try {
    return work()
  } catch (thrown) {
    const error = toCertError(thrown)
    if (!isInputError(error)) throw error
    const message = error.message.replace(/(?<=^|\s)--(?=[a-z])/g, '')
    const hint = error.hint?.includes('--') ? `${error.hint} (in the file, without the dashes)` : error.hint
    throw new CertError('CONFIG_INVALID', `${config.where(place)}: ${message}`, { cause: thrown, hint })
  }
}

/** @throws CertError USAGE */
export const requireTargets = (
  config: Config | undefined,
  entry: CertificateConfig | undefined,
  name: string,
): [Config, CertificateConfig] => {
  if (config !== undefined && entry !== undefined && entry.deploy.length > 0) return [config, entry]
  const file = config?.path ?? 'a configuration file (acme-oss config init writes one)'
  const why =
    config === undefined
      ? 'nothing says where the certificate is to go'
      : entry === undefined
        ? `nothing says where the certificate is to go: ${config.path} has no entry for ${name}`
        : `${config.path}: ${entry.name} has no deploy list`
  throw new CertError('USAGE', why, {
    hint: `add a target, such as --bucket my-ssl-certs --region cn-hangzhou, or --directory /etc/ssl/${name}; or the same by ACME_OSS_BUCKET and ACME_OSS_REGION, or below certificates: in ${file}`,
  })
}
