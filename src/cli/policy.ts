import {
  type ExplainedStatement,
  longestPolicy,
  type RamPolicy,
  ramPolicy,
  statementsOf,
  type UsedPermission,
} from '../aliyun/ram-policy.js'
import type { CertificateConfig, Config } from '../config/config.js'
import { CertError } from '../errors.js'
import { httpsPermissions } from '../https/index.js'
import { nearest } from '../nearest.js'
import { solverPermissions } from '../solvers/index.js'
import type { SolverSettings } from '../solvers/solver-settings.js'
import { auto } from '../targets/auto.js'
import { targetPermissions } from '../targets/index.js'
import { keyPrefix } from '../targets/layout.js'
import { pullPermission } from '../targets/oss-permissions.js'
import { withChallengeBucket } from './challenge-bucket.js'
import { defineCommand, exitCodes, type Surroundings } from './command.js'
import { type Common, commonFlags } from './common-flags.js'
import { toggle } from './flag.js'
import { printJson } from './json.js'
import {
  type AskedTarget,
  aboutBuckets,
  askedTargets,
  requireNone,
  type TargetValues,
  targetFlags,
} from './target-flags.js'
import { Terminal, wantsColor } from './terminal.js'
import {
  inPlace,
  openConfig,
  requireTargets,
  sayThatFileIsLeftAside,
  targetName,
  targetsOfEntry,
} from './wanted-targets.js'

const name = 'policy'

export const command = defineCommand({
  name,
  summary:
    'Prints the least RAM policy for exactly these targets, or for those of the configuration: what is needed, and what is recommended beside it. It reaches for nothing and needs no credentials.',
  flags: {
    minimal: toggle('leave out what is only recommended'),
    pull: toggle(
      'for those who fetch certificates with acme-oss pull: the right to read the layouts, and nothing else',
    ),
    https: toggle('with what acme-oss https takes beside deploying; powerful, so better for you than for the timer'),
    ...targetFlags,
    ...commonFlags,
  },
  words: { usage: '[NAME...]', most: Number.POSITIVE_INFINITY },
  examples: [
    ['acme-oss policy', 'for all certificates of the configuration'],
    [
      'acme-oss policy --bucket my-ssl-certs --region cn-hangzhou --prefix certs/example.com/ --cdn-domain auto',
      'for these targets',
    ],
    [
      'acme-oss policy --pull --bucket my-ssl-certs --region cn-hangzhou --prefix certs/example.com/',
      'for a machine that uses the certificate (acme-oss pull)',
    ],
  ],
  run: async (values, surroundings, { words }) => {
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    const deployments = await deploymentsOf(values, words, surroundings, terminal)
    if (values.pull && values.https) {
      throw new CertError('USAGE', '--pull is for those who read alone, and --https for those who change most', {
        hint: 'make two policies',
      })
    }
    const used = deployments.flatMap(values.pull ? usedByReaders : usedBy)
    const all = statementsOf([...used, ...(values.https ? deployments.flatMap(usedByHttps) : [])])
    if (values.pull && all.length === 0) {
      throw new CertError('USAGE', 'no layout in a bucket is named that could be pulled from', {
        hint: 'name it, such as --bucket my-ssl-certs --prefix certs/example.com/; a folder needs no policy',
      })
    }
    const statements = values.minimal ? all.filter(({ needed }) => needed) : all
    const policy = ramPolicy(statements)
    const warnings = warningsOf(policy)
    for (const warning of warnings) terminal.warning(warning)
    if (values.json) {
      terminal.result(
        printJson({
          schema: 'acme-oss/1',
          command: name,
          ok: true,
          policy,
          statements: statements.map(({ users, needed, why }) => ({ for: users, needed, why })),
          warnings,
          error: null,
        }),
      )
      return exitCodes.done
    }
    explain(terminal, statements, all.length - statements.length)
    terminal.result(JSON.stringify(policy, null, 2))
    return exitCodes.done
  },
})

interface Deployment {
  readonly targets: readonly AskedTarget[]
  /** What proves the names uses. */
  readonly proving: readonly UsedPermission[]
}

/** Where certificates go: one deployment by flags and variables, else those of the configuration. */
const deploymentsOf = async (
  values: TargetValues & Common,
  names: readonly string[],
  surroundings: Surroundings,
  terminal: Terminal,
): Promise<Deployment[]> => {
  const asked = askedTargets(values)
  if (asked.length > 0) {
    await sayThatFileIsLeftAside(values, surroundings, terminal, true)
    return [{ targets: asked, proving: [] }]
  }
  const config = await openConfig(values, surroundings, true)
  if (config === undefined) {
    requireNone(values, aboutBuckets)
    throw new CertError('CONFIG_INVALID', 'there is no configuration, and no target is given', {
      hint: 'name targets as for acme-oss deploy, such as --bucket my-ssl-certs --region cn-hangzhou; or a configuration with --config (acme-oss config init writes one)',
    })
  }
  return chosenEntries(config, names).map((entry) => {
    const targets = targetsOfEntry(config, entry, values)
    return { targets, proving: usedByProof(config, entry, targets) }
  })
}

/** @throws CertError USAGE */
export const chosenEntries = (config: Config, names: readonly string[]): CertificateConfig[] => {
  if (names.length > 0) return names.map((one) => entryOf(config, one))
  const entries = config.certificates.filter(({ deploy }) => deploy.length > 0)
  if (entries.length > 0) return entries
  throw new CertError('USAGE', `${config.path} has no certificate with a deploy list`, {
    hint: 'add one below certificates:, or name targets as for acme-oss deploy, such as --bucket my-ssl-certs --region cn-hangzhou',
  })
}

const entryOf = (config: Config, wanted: string): CertificateConfig => {
  const entry = config.certificates.find((one) => one.name === wanted)
  if (entry !== undefined) return requireTargets(config, entry, wanted)[1]
  const known = config.certificates.map((one) => one.name)
  const near = nearest(wanted, known)
  throw new CertError('USAGE', `${config.path} has no entry for ${wanted}`, {
    hint: near === undefined ? 'acme-oss config check lists them' : `did you mean ${near}?`,
  })
}

const usedBy = ({ targets, proving }: Deployment): UsedPermission[] => {
  const users = targets.map(targetName)
  const deploying = targetPermissions(targets).flatMap((permissions, i) =>
    permissions.map((permission) => ({ ...permission, user: users[i] ?? '' })),
  )
  return [...deploying, ...proving]
}

/** What forcing HTTPS at the places of the targets uses. */
const usedByHttps = ({ targets }: Deployment): UsedPermission[] =>
  targets.flatMap((target) => {
    const place = placeOf(target)
    if (place === undefined) return []
    const user = `https at ${targetName(target)}`
    return httpsPermissions(...place).map((permission) => ({ ...permission, user }))
  })

const placeOf = ({ kind, settings }: AskedTarget): [kind: string, settings: AskedTarget['settings']] | undefined => {
  const { bucket = '', domain = '' } = settings
  if (kind === 'oss') return ['oss', { bucket }]
  if (kind === 'oss-cname') return ['oss', { bucket, domains: domain }]
  if (kind === 'cdn' || kind === 'dcdn') return [kind, { domain: domain === auto ? '*' : domain }]
  return undefined
}

/** Readers of the layouts use nothing of what writing them takes. */
const usedByReaders = ({ targets }: Deployment): UsedPermission[] =>
  targets.flatMap(({ kind, settings }) => {
    const { bucket, prefix } = settings
    if (kind !== 'oss' || typeof bucket !== 'string') return []
    const user = targetName({ kind, settings })
    return [{ ...pullPermission(bucket, keyPrefix(typeof prefix === 'string' ? prefix : '')), user }]
  })

/** What an entry's solver uses, where it has one: a certificate is issued, and its names are proven in the cloud. */
const usedByProof = (
  config: Config,
  { name: entryName, issue, domains }: CertificateConfig,
  targets: readonly AskedTarget[],
): UsedPermission[] => {
  const said = (key: string): string | undefined => (issue?.[key] === undefined ? undefined : String(issue[key]))
  const solver = said('solver') ?? (said('challenge-bucket') === undefined ? undefined : 'bucket')
  if (solver === undefined) return []
  const settings: SolverSettings = { solver, challenge: 'http-01', challengeBucket: said('challenge-bucket') }
  return inPlace(config, ['certificates', entryName, 'issue'], () =>
    solverPermissions(withChallengeBucket(settings, targets), domains).map((permission) => ({
      ...permission,
      user: `proving ${entryName}`,
    })),
  )
}

/** Whoever may do one of these on any certificate of the account can have its private key. */
const keyReaders = ['yundun-cert:DescribeSSLCertificatePrivateKey', 'yundun-cert:GetUserCertificateDetail']

const warningsOf = (policy: RamPolicy): string[] => {
  const granted = new Set(policy.Statement.flatMap(({ Action }) => Action))
  const readers = keyReaders.filter((action) => granted.has(action))
  const length = JSON.stringify(policy).length
  return [
    ...(readers.length === 0
      ? []
      : [
          `whoever has ${readers.join(' or ')} can read the private key of every certificate in the account's certificate service, and a smaller grant is not to be had: let this access key do nothing else, and keep it safe`,
        ]),
    ...(length <= longestPolicy
      ? []
      : [
          `the policy has ${length} characters without its blanks, and RAM takes ${longestPolicy}: make several policies, such as one for each of a few certificates (acme-oss policy NAME...)`,
        ]),
  ]
}

const namesShown = 3

const explain = (terminal: Terminal, statements: readonly ExplainedStatement[], left: number): void => {
  if (statements.length === 0) {
    terminal.progress('nothing in the cloud is reached for: no policy is needed')
    return
  }
  statements.forEach(({ needed, why, users }, i) => {
    const more = users.length - namesShown
    const whose = `${users.slice(0, namesShown).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
    terminal.progress(`statement ${i + 1}, ${needed ? 'needed' : 'recommended'}: ${why} (for ${whose})`)
  })
  if (left > 0) terminal.progress('what is only recommended has been left out')
  else if (statements.some(({ needed }) => !needed)) {
    terminal.progress('a deployment succeeds without what is recommended, and sees less; --minimal leaves it out')
  }
}
