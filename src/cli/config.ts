import { dirname, join, resolve } from 'node:path'
import { type CertificateConfig, type Config, findCertificate } from '../config/config.js'
import { firstConfig } from '../config/first-config.js'
import { jsonSchema } from '../config/schema.js'
import { createDurably, makeFolder } from '../durable-file.js'
import { CertError, systemCode } from '../errors.js'
import { findCa } from '../issuer/ca.js'
import { orderNames } from '../issuer/order-names.js'
import type { SolverSettings } from '../solvers/solver-settings.js'
import { CertificateStore, certificateNames } from '../state/certificates.js'
import { StateFolder } from '../state/state-folder.js'
import { targetOptions } from '../targets/index.js'
import { withChallengeBucket } from './challenge-bucket.js'
import { defineCommand, exitCodes, type Surroundings } from './command.js'
import { type Common, commonFlags, stateRoot } from './common-flags.js'
import { variableOf } from './flag.js'
import { issueLayer } from './issue-layer.js'
import { type IssuerValues, issuerFlags, issueSettings, requireSolver, solverSettings } from './issuer-flags.js'
import { printJson } from './json.js'
import type { AskedTarget } from './target-flags.js'
import { Terminal, wantsColor } from './terminal.js'
import { inPlace, openConfig, requireTarget } from './wanted-targets.js'

const parts = ['check', 'schema', 'init', 'paths'] as const

export const command = defineCommand({
  name: 'config',
  summary:
    'check: reads the configuration and says what is wrong with it. schema: prints a JSON Schema for editors. init: writes a first file, with comments. paths: lists the folders that renew writes to, for a service that may write nowhere else.',
  flags: commonFlags,
  words: { usage: parts.join('|'), least: 1, most: 1 },
  examples: [
    ['acme-oss config init', 'writes /etc/acme-oss/acme-oss.yaml, or ~/.config/acme-oss/acme-oss.yaml if not root'],
    ['acme-oss config check', 'after every change'],
  ],
  run: async (values, surroundings, { words: [word = ''] }) => {
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    const part = parts.find((one) => one === word)
    if (part === undefined) {
      throw new CertError('USAGE', `acme-oss config does not know "${word}"`, { hint: `one of: ${parts.join(', ')}` })
    }
    const work = { check, schema, init, paths }[part]
    await work(values, surroundings, terminal)
    return exitCodes.done
  },
})

type Work = (values: Common, surroundings: Surroundings, terminal: Terminal) => Promise<void>

const check: Work = async (values, surroundings, terminal) => {
  const config = await openConfig(values, surroundings, true)
  if (config === undefined) {
    throw new CertError('CONFIG_INVALID', 'there is no configuration', {
      hint: `acme-oss config init writes ${initialPath(values, surroundings)}; or name one with --config`,
    })
  }
  const certificates = soundEntries(config)
  if (values.json) {
    terminal.result(
      printJson({ schema: 'acme-oss/1', command: 'config', ok: true, path: config.path, certificates, error: null }),
    )
    return
  }
  for (const { name, source, deploy } of certificates) {
    const from = source === 'issue' ? 'issued by acme-oss' : 'from a hook'
    terminal.result(`${name} (${from}): ${deploy.join(', ') || 'goes nowhere: it has no deploy list'}`)
  }
  terminal.result(`${config.path} is in order`)
}

export interface SoundEntry {
  readonly name: string
  readonly domains: readonly string[]
  readonly source: 'hook' | 'issue'
  readonly deploy: readonly string[]
}

/**
 * All of a configuration's entries, looked through for what only a run would find.
 * @throws CertError CONFIG_INVALID
 */
export const soundEntries = (config: Config): SoundEntry[] => {
  for (const ca of Object.keys(config.account.eab)) inPlace(config, ['account', 'eab', ca], () => findCa(ca))
  return config.certificates.map((entry) => {
    // Two that nothing but their names tells apart would be refused when a hook asks.
    if (entry.domains.length > 0) findCertificate(config, undefined, entry.domains)
    checkIssue(config, entry)
    return {
      name: entry.name,
      domains: entry.domains,
      source: entry.issue === undefined ? 'hook' : 'issue',
      deploy: entry.deploy.map((_target, i) => requireTarget(config, entry, i)),
    }
  })
}

/** What only an order would find: solvers, CAs and kinds of keys that there are not. No file is looked at. */
const checkIssue = (config: Config, entry: CertificateConfig): void => {
  if (entry.issue === undefined) return
  if (entry.domains.length === 0) {
    const where = config.where(['certificates', entry.name])
    throw new CertError('CONFIG_INVALID', `${where} is to be issued, and has no domains`, {
      hint: 'add domains: [example.com], or leave issue out if a hook delivers the certificate',
    })
  }
  inPlace(config, ['certificates', entry.name, 'issue'], () => {
    const { values, names } = issuerValuesOf(config, entry)
    requireSolver(withChallengeBucket(solverSettings(values, names), entry.deploy))
    issueSettings(values, names, config.account.eab)
  })
}

/** What an entry says of how it is issued, as flags would have. */
const issuerValuesOf = (config: Config, entry: CertificateConfig) => {
  const layer = issueLayer(config, { name: entry.name, domain: [] })
  const read = Object.entries(issuerFlags).map(([name, flag]) => [name, flag.read(layer[name] ?? [], name)])
  // Every name of `issuerFlags` is there, each read by its own flag.
  const values = Object.fromEntries(read) as IssuerValues
  return { values, names: orderNames(values.domain) }
}

/**
 * How an entry's names are proven; undefined where a hook delivers the certificate.
 * @throws CertError CONFIG_INVALID
 */
export const solverOf = (
  config: Config,
  entry: CertificateConfig,
  targets: readonly AskedTarget[],
): SolverSettings | undefined => {
  if (entry.issue === undefined || entry.domains.length === 0) return undefined
  return inPlace(config, ['certificates', entry.name, 'issue'], () => {
    const { values, names } = issuerValuesOf(config, entry)
    return withChallengeBucket(solverSettings(values, names), targets)
  })
}

const schema: Work = async (_values, _surroundings, terminal) => {
  terminal.result(JSON.stringify(await jsonSchema(targetOptions), null, 2))
}

const initialPath = ({ config }: Pick<Common, 'config'>, { isRoot, homeFolder }: Surroundings): string => {
  const folder = isRoot || homeFolder === undefined ? '/etc/acme-oss' : join(homeFolder, '.config/acme-oss')
  return resolve(config ?? join(folder, 'acme-oss.yaml'))
}

const init: Work = async (values, surroundings, terminal) => {
  const path = initialPath(values, surroundings)
  const written = await create(path)
  if (written === 'exists') {
    throw new CertError('USAGE', `${path} is there already, and was left as it is`, {
      hint: 'acme-oss config check says whether it is in order',
    })
  }
  if (values.json) {
    terminal.result(printJson({ schema: 'acme-oss/1', command: 'config', ok: true, path, error: null }))
    return
  }
  const named = values.config === undefined ? '' : ` --config ${path}`
  terminal.result(`${path} is written; fill it in, then: acme-oss config check${named}`)
}

const create = async (path: string): Promise<'written' | 'exists'> => {
  try {
    await makeFolder(dirname(path))
    return await createDurably(path, firstConfig, { mode: 0o644 })
  } catch (error) {
    throw new CertError('FOLDER_UNWRITABLE', `${path} cannot be written: ${systemCode(error) ?? String(error)}`, {
      cause: error,
      hint: 'name another place with --config',
    })
  }
}

/** What a hardened service has to be allowed to write, one folder a line: where certificates go, and where CAs look. */
const paths: Work = async (values, surroundings, terminal) => {
  const config = await openConfig(values, surroundings, false)
  const entries = config?.certificates ?? []
  const variables = (['directory', 'webroot'] as const).flatMap((name) => {
    const value = surroundings.environment[variableOf(name)]
    return value ? [resolve(value)] : []
  })
  const all = [
    ...new Set([
      ...entries.flatMap(({ deploy, issue }) => [...foldersOf(deploy), ...webRootOf(issue ?? {})]),
      ...(await rememberedPaths(entries, StateFolder.at(stateRoot(values, surroundings)))),
      ...variables,
    ]),
  ]
  if (values.json) {
    terminal.result(printJson({ schema: 'acme-oss/1', command: 'config', ok: true, paths: all, error: null }))
  } else for (const path of all) terminal.result(path)
}

/** Those of what was issued by hand, which is renewed as it was asked for then. */
const rememberedPaths = async (entries: readonly CertificateConfig[], state: StateFolder): Promise<string[]> => {
  const configured = new Set(entries.filter(({ issue }) => issue !== undefined).map(({ name }) => name))
  const found: string[] = []
  for (const name of certificateNames(state)) {
    const record = configured.has(name) ? undefined : await new CertificateStore(state, name).read()
    if (record !== undefined) found.push(...foldersOf(record.deploy), ...webRootOf(record.issue.solver))
  }
  return found
}

const foldersOf = (deploy: readonly AskedTarget[]): string[] =>
  deploy.flatMap(({ kind, settings }) =>
    Object.entries(targetOptions[kind] ?? {}).flatMap(([option, about]) => {
      const path = settings[option]
      return about.kind === 'text' && about.isPath && typeof path === 'string' ? [path] : []
    }),
  )

/** With another solver it is of no use, whoever named it. */
const webRootOf = ({ solver, webroot }: Readonly<Record<string, unknown>>): string[] =>
  typeof webroot === 'string' && (solver ?? 'webroot') === 'webroot' ? [webroot] : []
