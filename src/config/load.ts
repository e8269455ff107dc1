import { constants } from 'node:fs'
import { access, lstat, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { canonicalName } from '../certificate/names.js'
import { CertError } from '../errors.js'
import { nearest } from '../nearest.js'
import { type AlertsConfig, type AlertsDocument, toAlerts, urlFault } from './alerts.js'
import type { CertificateConfig, Config, TargetConfig } from './config.js'
import { type ConfigCache, cacheKey, fromCache, toCache } from './config-cache.js'
import type { Option } from './option.js'
import type { CertificateDocument, ConfigDocument, Fault, TargetDocument, TargetOptions } from './schema.js'
import { invalid, type Place, parseYaml, readSource, type YamlFile, type YamlSource } from './yaml-file.js'

export interface ConfigSearch {
  /** Given by the user: has to be there. */
  readonly given: string | undefined
  readonly homeFolder: string | undefined
  /** Where a person stands who typed the command; absent for hooks and timers, which stand anywhere. */
  readonly folder: string | undefined
  readonly userId: number | undefined
}

const fileName = 'acme-oss.yaml'

/**
 * The configuration file that counts, or undefined where there is none.
 * @throws CertError CONFIG_INVALID: the one in the current folder could be anybody's
 */
export const findConfig = async (search: ConfigSearch): Promise<string | undefined> => {
  if (search.given !== undefined) return resolve(search.given)
  const own = search.homeFolder === undefined ? [] : [join(search.homeFolder, '.config/acme-oss', fileName)]
  const places = [...own, join('/etc/acme-oss', fileName)]
  for (const place of places) if (await isThere(place)) return place
  const here = search.folder === undefined ? undefined : join(search.folder, fileName)
  if (here === undefined || !(await isThere(here))) return undefined
  await requireOwn(here, search.userId)
  return here
}

const isThere = async (path: string): Promise<boolean> => {
  try {
    await access(path, constants.F_OK)
    return true
  } catch {
    return false
  }
}

/** A file that lies about says where private keys go, so it has to be the caller's own. */
const requireOwn = async (path: string, userId: number | undefined): Promise<void> => {
  const [link, file] = await Promise.all([lstat(path), stat(path)])
  if ([link, file].every(({ uid }) => uid === 0 || uid === userId) && (file.mode & 0o022) === 0) return
  throw new CertError('CONFIG_INVALID', `${path} belongs to somebody else, or others may write it`, {
    hint: `name it with --config if it is yours to trust, or: chmod go-w ${path}`,
  })
}

/**
 * Reads and checks the configuration, or takes what an earlier run made of the very same bytes.
 * @throws CertError FILE_UNREADABLE, CONFIG_INVALID: with file, line and path, and the nearest known key
 */
export const loadConfig = async (path: string, targets: TargetOptions, cache?: ConfigCache): Promise<Config> => {
  const source = await readSource(path)
  if (cache === undefined) return await checkedConfig(source, targets)
  const key = cacheKey(source, targets)
  const kept = fromCache(await cache.read(key))
  if (kept !== undefined) return { ...kept, path, where: whereIn(source) }
  const config = await checkedConfig(source, targets)
  await cache.write(key, toCache(config))
  return config
}

/** May the file say whom to tell of what is wrong? A cheap look: mostly nobody is. @throws CertError FILE_UNREADABLE */
export const mayHaveAlerts = async (path: string): Promise<boolean> => (await readSource(path)).text.includes('alerts')

/** Whom to tell, by a file that is otherwise wrong; undefined where even that cannot be made out. */
export const salvageAlerts = async (path: string): Promise<AlertsConfig | undefined> => {
  try {
    const { value } = parseYaml(await readSource(path))
    const { alerts } = value as { readonly alerts?: unknown }
    const { areAlerts } = await import('./schema.js')
    return alerts !== undefined && (await areAlerts(alerts)) ? alertsFrom(path, alerts as AlertsDocument) : undefined
  } catch {
    return undefined
  }
}

const alertsFrom = (path: string, document: AlertsDocument): AlertsConfig =>
  toAlerts(document, (file) => resolve(dirname(path), file))

/** @throws CertError CONFIG_INVALID */
const checkedAlerts = ({ path, where }: File, document: AlertsDocument): AlertsConfig => {
  const urls = (document.to ?? []).flatMap((entry, i) =>
    Object.entries(entry).map(([kind, one]) => ({ place: ['alerts', 'to', i, kind, 'url'], url: one.url })),
  )
  for (const { place, url } of [...urls, { place: ['alerts', 'ping'], url: document.ping }]) {
    const fault = url === undefined ? undefined : urlFault(url)
    if (fault !== undefined) throw invalid(`${where(place)} ${fault}`)
  }
  return alertsFrom(path, document)
}

/** Looks into the file only when the first place is asked for. */
const whereIn = (source: YamlSource): Config['where'] => {
  let file: YamlFile | undefined
  return (place) => {
    file ??= parseYaml(source)
    return file.where(place)
  }
}

const checkedConfig = async (source: YamlSource, targets: TargetOptions): Promise<Config> => {
  const { path } = source
  const { value, where } = parseYaml(source)
  const { validate } = await import('./schema.js')
  const faults = await validate(value, targets)
  // A key with a typing error is why another one is missing.
  const fault = faults.find(({ unknown }) => unknown !== undefined) ?? faults[0]
  if (fault !== undefined) throw invalid(`${where(fault.path)} ${fault.message}`, suggestion(fault))
  return toConfig({ path, where }, value as ConfigDocument, targets)
}

const suggestion = ({ unknown }: Fault): string | undefined => {
  if (unknown === undefined) return undefined
  // All of ours are written small.
  const near = nearest(unknown.key.toLowerCase(), unknown.known)
  return near === undefined ? `known here: ${unknown.known.join(', ')}` : `did you mean ${near}?`
}

type File = Pick<Config, 'path' | 'where'>

const toConfig = (file: File, document: ConfigDocument, targets: TargetOptions): Config => {
  const account = document.account ?? {}
  const eab = Object.entries(account.eab ?? {}).map(([ca, one]) => [
    ca,
    { kid: one.kid, hmacKeyFile: resolve(dirname(file.path), one['hmac-key-file']) },
  ])
  return {
    ...file,
    account: { email: account.email, agreeTos: account['agree-tos'] ?? false, eab: Object.fromEntries(eab) },
    certificates: Object.entries(document.certificates ?? {}).map(([name, one]) =>
      toCertificate(file, name, one, document.defaults ?? {}, targets),
    ),
    alerts: document.alerts && checkedAlerts(file, document.alerts),
  }
}

/** What the defaults of other kinds say of the same thing. */
const borrowed = (
  options: Readonly<Record<string, Option>>,
  defaults: NonNullable<ConfigDocument['defaults']>,
): TargetDocument =>
  Object.fromEntries(
    Object.entries(options).flatMap(([name, option]) => {
      const value = option.defaultOf === undefined ? undefined : defaults[option.defaultOf]?.[name]
      return value === undefined ? [] : [[name, value]]
    }),
  )

/** To whoever makes the target a number is a text, as it is on the command line. */
const withoutNumbers = (settings: TargetDocument): TargetConfig['settings'] =>
  Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [name, typeof value === 'number' ? String(value) : value]),
  )

const issuePaths = ['webroot', 'ca-bundle']

const isPath = (option: Option | undefined): boolean => option?.kind === 'text' && option.isPath === true

/** The settings with their paths absolute: they are relative to the file they stand in, wherever a run stands. */
const withPaths = <T>(file: string, settings: Readonly<Record<string, T>>, names: readonly string[]) =>
  Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [
      name,
      names.includes(name) && typeof value === 'string' ? resolve(dirname(file), value) : value,
    ]),
  ) as Readonly<Record<string, T>>

const toCertificate = (
  { path, where }: File,
  name: string,
  one: CertificateDocument,
  defaults: NonNullable<ConfigDocument['defaults']>,
  targets: TargetOptions,
): CertificateConfig => {
  const refuse = (place: Place, message: string, hint?: string): never => {
    throw invalid(`${where(place)} ${message}`, hint)
  }
  const target = (kind: string, given: TargetDocument, i: number): TargetConfig => {
    const options = targets[kind] ?? {}
    const paths = Object.keys(options).filter((option) => isPath(options[option]))
    const all = { ...borrowed(options, defaults), ...defaults[kind], ...given }
    const settings = withPaths(path, withoutNumbers(all), paths)
    const missing = Object.entries(options).find(
      ([option, about]) => about.kind === 'text' && about.required && settings[option] === undefined,
    )
    return missing === undefined
      ? { kind, settings }
      : refuse(
          ['certificates', name, 'deploy', i, kind],
          `needs a ${missing[0]}`,
          `add ${missing[0]} there, or below defaults: ${kind}: if it is the same everywhere`,
        )
  }
  return {
    name,
    domains: (one.domains ?? []).map(
      (domain, i) =>
        canonicalName(domain) ?? refuse(['certificates', name, 'domains', i], `is "${domain}", which is no name`),
    ),
    issue: one.issue && withPaths(path, one.issue, issuePaths),
    deploy: (one.deploy ?? []).flatMap((entry, i) =>
      Object.entries(entry).map(([kind, given]) => target(kind, given, i)),
    ),
  }
}
