import { resolve } from 'node:path'
import { caller } from '../aliyun/products.js'
import { statementsOf, type UsedPermission } from '../aliyun/ram-policy.js'
import type { Config } from '../config/config.js'
import { CertError, isInputError, toCertError } from '../errors.js'
import { type About, abouts, type Finding, runChecks } from '../monitor/check.js'
import { checksOf } from '../monitor/checks/index.js'
import type { ReachContext, Situation, Wanted, WantedTarget } from '../monitor/situation.js'
import { solverPermissions } from '../solvers/index.js'
import { createTarget, targetPermissions } from '../targets/index.js'
import { version } from '../version.js'
import { defineCommand, exitCodes, type Surroundings } from './command.js'
import { type Common, commonFlags, stateRoot } from './common-flags.js'
import { solverOf, soundEntries } from './config.js'
import { openReach } from './deployment.js'
import { text, toggle, type Values, wholeNumber } from './flag.js'
import { printJson } from './json.js'
import { once } from './once.js'
import { chosenEntries } from './policy.js'
import { proofFlags } from './proof-flags.js'
import { type AskedDeployment, recordedDeployments } from './recorded-deployments.js'
import { type AskedTarget, askedTargets, targetFlags } from './target-flags.js'
import { Terminal, wantsColor } from './terminal.js'
import { configPath, openConfig, sayThatFileIsLeftAside, targetsOfEntry } from './wanted-targets.js'

const name = 'doctor'

const flags = {
  offline: toggle('leave out all that takes the network'),
  timeout: wholeNumber('seconds for one check', { min: 1, max: 3600, fallback: 10 }),
  'sts-endpoint': text('URL of STS, which says whose credentials these are [https://sts.aliyuncs.com]', {
    placeholder: 'URL',
  }),
  'timer-env': text('the file that the timer has its variables from [/etc/acme-oss/env]', { placeholder: 'FILE' }),
  ...proofFlags,
  ...targetFlags,
  ...commonFlags,
}

type DoctorValues = Values<typeof flags>

export const command = defineCommand({
  name,
  summary:
    'Checks all that a deployment depends on: the configuration, the state folder, the timer, credentials and what they may do, buckets, domains, DNS, what is served. It says what to do about each thing that is wrong, and changes nothing. Exit status 1 where something failed; warnings alone are none.',
  flags,
  words: { usage: '[NAME...]', most: Number.POSITIVE_INFINITY },
  examples: [
    ['sudo /usr/local/lib/acme-oss/hooks/with-environment acme-oss doctor', 'as the timer would find it'],
    ['acme-oss doctor --bucket my-ssl-certs --region cn-hangzhou --oss-cname static.example.com', 'for these targets'],
  ],
  run: async (values, surroundings, { words }) => {
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    const { signal } = surroundings
    const reach = openReach({ ...values, 'verify-timeout': 0 }, surroundings, terminal)
    const timeout = values.timeout * 1000
    const context: ReachContext = {
      ...reach.context,
      // So that a request says why it was not answered before its check is given up.
      timeout: timeout * 0.8,
      looking: { connect: values.connect, nameServer: values['dns-resolver'], limit: 0 },
      // Where there are none, nobody is asked again.
      credentials: once(reach.context.credentials),
    }
    try {
      const { situation, warnings } = await situationOf(values, words, { surroundings, terminal, context })
      for (const warning of warnings) terminal.warning(warning)
      const checks = checksOf(situation)
      terminal.start(`looking at ${checks.length} things`)
      const findings = await runChecks(checks, { timeout, offline: values.offline, signal })
      terminal.stop(`looking at ${checks.length} things`)
      const isOk = findings.every(({ status }) => status !== 'failed')
      if (values.json) terminal.result(printJson(resultJson(findings, warnings, isOk)))
      else show(terminal, findings, values.quiet)
      return isOk ? exitCodes.done : exitCodes.failed
    } finally {
      reach.connections.close()
    }
  },
})

interface Around {
  readonly surroundings: Surroundings
  readonly terminal: Terminal
  readonly context: ReachContext
}

/** @throws CertError USAGE */
const situationOf = async (
  values: DoctorValues,
  names: readonly string[],
  { surroundings, terminal, context }: Around,
): Promise<{ readonly situation: Situation; readonly warnings: readonly string[] }> => {
  const { environment, userId } = surroundings
  const { configuration, asked, isRecorded } = await askedFor(values, names, surroundings, terminal)
  const warnings: string[] = []
  const made = (label: string, { kind, settings }: AskedTarget): WantedTarget[] => {
    try {
      return [{ kind, settings, target: createTarget(kind, settings, context) }]
    } catch (error) {
      // What an earlier release wrote down is no fault of the command line.
      if (!isRecorded) throw error
      warnings.push(`${label}: what is on record of a target (${kind}) cannot be used: ${toCertError(error).message}`)
      return []
    }
  }
  const deployments = asked.map((one) => ({
    ...one,
    targets: one.targets.flatMap((target) => made(one.name ?? '', target)),
  }))
  const situation = {
    program: { version, node: process.version },
    configuration,
    deployments,
    permissions: statementsOf(deployments.flatMap(usedBy)),
    stateRoot: rootOf(values, surroundings),
    process: { environment, userId },
    timer: { environment: resolve(values['timer-env'] ?? '/etc/acme-oss/env'), cron: '/etc/cron.d/acme-oss' },
    context,
    endpoints: { cdn: values['cdn-endpoint'], dcdn: values['dcdn-endpoint'] },
    caller: caller(values['sts-endpoint'], context),
  }
  return { situation, warnings }
}

const rootOf = (values: Common, surroundings: Surroundings): string | CertError => {
  try {
    return stateRoot(values, surroundings)
  } catch (error) {
    return toCertError(error)
  }
}

interface AskedFor {
  readonly configuration: Situation['configuration']
  readonly asked: readonly AskedDeployment[]
  /** Is it by what is on record alone? */
  readonly isRecorded: boolean
}

/** What flags and variables name; else the entries of the configuration; else what is on record. */
const askedFor = async (
  values: DoctorValues,
  names: readonly string[],
  surroundings: Surroundings,
  terminal: Terminal,
): Promise<AskedFor> => {
  const targets = askedTargets(values)
  const { config, ...configuration } = await readConfig(values, surroundings)
  if (targets.length > 0) {
    if (names.length > 0) {
      throw new CertError('USAGE', `${names[0]} is named, and so are targets`, {
        hint: 'give the names of entries of the configuration, or targets, not both',
      })
    }
    await sayThatFileIsLeftAside(values, surroundings, terminal, true)
    return { configuration, asked: [{ name: undefined, domains: [], targets, solver: undefined }], isRecorded: false }
  }
  if (config === undefined) {
    const root = rootOf(values, surroundings)
    const asked = typeof root === 'string' ? await recordedDeployments(root, names) : []
    return { configuration, asked, isRecorded: true }
  }
  const entries = names.length > 0 ? chosenEntries(config, names) : config.certificates
  const asked = entries.map((entry): AskedDeployment => {
    const own = entry.deploy.length === 0 ? [] : targetsOfEntry(config, entry, values)
    return { name: entry.name, domains: entry.domains, targets: own, solver: solverOf(config, entry, own) }
  })
  return { configuration, asked, isRecorded: false }
}

/** What is wrong with it is one of the things that are looked for. */
const readConfig = async (
  values: DoctorValues,
  surroundings: Surroundings,
): Promise<Situation['configuration'] & { readonly config: Config | undefined }> => {
  let path: string | undefined
  try {
    path = await configPath(values, surroundings, true)
    const config = await openConfig(values, surroundings, true)
    if (config !== undefined) soundEntries(config)
    return { path, fault: undefined, entries: config?.certificates.length ?? 0, config }
  } catch (error) {
    const fault = toCertError(error)
    if (!isInputError(fault)) throw error
    return { path, fault, entries: 0, config: undefined }
  }
}

const usedBy = ({ name: certificate, domains, targets, solver }: Wanted): UsedPermission[] => {
  const deploying = targetPermissions(targets).flatMap((permissions, i) =>
    permissions.map((permission) => ({ ...permission, user: targets[i]?.target.name ?? '' })),
  )
  const proving = solver === undefined ? [] : solverPermissions(solver, domains)
  return [...deploying, ...proving.map((permission) => ({ ...permission, user: `proving ${certificate}` }))]
}

const headings: Readonly<Record<About, string>> = {
  program: 'Program',
  configuration: 'Configuration',
  state: 'State',
  timer: 'Timer',
  credentials: 'Credentials',
  clock: 'Clock',
  bucket: 'Buckets',
  permissions: 'Permissions',
  domains: 'Domains',
  dns: 'DNS',
  served: 'Served',
  roots: 'Trusted roots',
}

const marks = { ok: ['✓', 'green'], warning: ['!', 'yellow'], failed: ['✗', 'red'], unknown: ['–', 'dim'] } as const

/** @param isBrief leaves out what is in order, and what is not known */
const show = (terminal: Terminal, findings: readonly Finding[], isBrief: boolean): void => {
  const isShown = ({ status }: Finding): boolean => !isBrief || status === 'failed' || status === 'warning'
  for (const about of abouts) {
    const own = findings.filter((one) => one.about === about && isShown(one))
    if (own.length > 0) terminal.result(terminal.paint('bold', headings[about]))
    for (const { status, sentence, hint } of own) {
      const [mark, style] = marks[status]
      terminal.result(`  ${terminal.paint(style, mark)} ${sentence}`)
      if (hint !== undefined) terminal.result(`      what to do: ${hint}`)
    }
  }
  const count = (wanted: Finding['status']) => findings.filter(({ status }) => status === wanted).length
  const warnings = count('warning')
  terminal.result(
    `${count('ok')} in order, ${warnings} warning${warnings === 1 ? '' : 's'}, ${count('failed')} failed, ${count('unknown')} not known`,
  )
}

const resultJson = (findings: readonly Finding[], warnings: readonly string[], isOk: boolean) => ({
  schema: 'acme-oss/1',
  command: name,
  ok: isOk,
  checks: findings.map(({ id, about, status, sentence, hint }) => ({
    id,
    about,
    status,
    sentence,
    hint: hint ?? null,
  })),
  warnings,
  error: null,
})
