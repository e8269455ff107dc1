import { readFile } from 'node:fs/promises'
import type { CertificateBundle } from '../certificate/bundle.js'
import { normalize } from '../certificate/normalize.js'
import { CertError, isInputError, toCertError } from '../errors.js'
import { nearest } from '../nearest.js'
import { keepUnresolved } from '../pipeline/deploy.js'
import { requireUseful } from '../pipeline/plan.js'
import { type PemFiles, pemFiles } from '../sources/files.js'
import type { HookSource } from '../sources/hook.js'
import { hookSources } from '../sources/index.js'
import type { StateFolder } from '../state/state-folder.js'
import type { DeployTarget } from '../targets/target.js'
import { alerted } from './alerted.js'
import { defineCommand, exitCodes, type Surroundings } from './command.js'
import { type Common, commonFlags, deployFlags, openState } from './common-flags.js'
import { carryOut, type Ended, openReach, type Reach, showPlan } from './deployment.js'
import type { Values } from './flag.js'
import { certificateJson, errorJson, pendingJson, printJson, type ResultJson } from './json.js'
import { targetFlags } from './target-flags.js'
import { Terminal, wantsColor } from './terminal.js'
import { openConfig, type Wish, wantedTargets } from './wanted-targets.js'

const name = 'hook'

export const command = defineCommand({
  name,
  summary:
    'Deploys what an ACME client has just issued: called by certbot, acme.sh, dehydrated, lego or uacme. What fails is recorded, and acme-oss sync does it later.',
  flags: { ...deployFlags, ...commonFlags },
  late: targetFlags,
  isForgiving: true,
  words: { usage: 'certbot|acme.sh|dehydrated|lego|uacme [-- ARGUMENT...]', least: 1, most: Number.POSITIVE_INFINITY },
  examples: [
    [
      "certbot certonly -d example.com --deploy-hook 'acme-oss hook certbot --bucket my-ssl-certs --region cn-hangzhou'",
      'certbot keeps the line for its renewals',
    ],
    [
      "acme.sh --install-cert -d example.com --reloadcmd 'acme-oss hook acme.sh'",
      'targets from /etc/acme-oss/acme-oss.yaml',
    ],
  ],
  run: alerted(
    { command: name, typed: false, about: (surroundings, words) => handedNames(surroundings, words) },
    async (values, surroundings, parsed) => {
      const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
      const [client = '', ...words] = parsed.words
      const source = hookSource(client)
      const handed = source.read({ environment: surroundings.environment, words })
      const reach = openReach(values, surroundings, terminal, credentialVariables(client, surroundings))
      try {
        const wish = {
          values,
          targetValues: () => parsed.read(targetFlags),
          config: () => openConfig(values, surroundings, false),
          surroundings,
          terminal,
          typed: false,
        }
        const { ignored } = parsed
        const only = handed.length === 1
        const ended: Ended[] = []
        for (const files of handed) {
          const work = deliver({ files, name: only ? values.name : undefined, reach, wish, values, client, ignored })
          // Of several, one that cannot be used must not keep the others.
          ended.push(await (only ? work : work.catch((error: unknown) => refusedOne(terminal, error))))
        }
        if (values.json) terminal.result(printJson(only ? (ended[0]?.result ?? {}) : allOf(ended)))
        return statusOfAll(ended)
      } finally {
        reach.connections.close()
      }
    },
  ),
})

/** @throws CertError USAGE, HOOK_INCOMPLETE */
const handedNames = (
  { environment }: Surroundings,
  [client = '', ...words]: readonly string[],
): readonly string[] | undefined => {
  const handed = hookSource(client).read({ environment, words })
  const names = handed.flatMap((one) => (one instanceof CertError || one.name === undefined ? [] : [one.name]))
  return handed.length > 0 && names.length === 0 ? undefined : names
}

const hookSource = (client: string): HookSource => {
  const source = Object.hasOwn(hookSources, client) ? hookSources[client] : undefined
  if (source !== undefined) return source
  const near = nearest(client, Object.keys(hookSources))
  throw new CertError('USAGE', `acme-oss hook does not know the client "${client}"`, {
    hint: `${near === undefined ? '' : `did you mean ${near}? `}it knows ${Object.keys(hookSources).join(', ')}`,
  })
}

interface Delivery {
  readonly files: PemFiles | CertError
  /** What it is to be filed under, if not what the client calls it; several cannot all have the same. */
  readonly name: string | undefined
  readonly reach: Reach
  readonly wish: Wish
  readonly values: Values<typeof deployFlags> & Common
  readonly client: string
  /** What was passed over in the environment, one sentence each. */
  readonly ignored: readonly string[]
}

/** @throws CertError where the material itself cannot be used */
const deliver = async ({ files, name: given, reach, wish, values, client, ignored }: Delivery): Promise<Ended> => {
  if (files instanceof CertError) throw files
  const { surroundings, terminal } = wish
  const source = pemFiles({ ...files, name: given ?? files.name }, surroundings.input)
  const { bundle, warnings: found } = normalize(await source.collect(surroundings.signal), surroundings.now())
  const warnings = [...ignored, ...found]
  const targets = await usableTargets(wish, reach, bundle)
  if (values['dry-run']) {
    if (targets instanceof CertError) throw targets
    return showPlan({ command: name, json: values.json, bundle, targets, warnings, terminal })
  }
  const state = await openState(values, surroundings)
  if (targets instanceof CertError) return await keep({ bundle, why: targets, state, wish, warnings })
  const ended = await carryOut({
    command: name,
    json: values.json,
    bundle,
    targets,
    warnings,
    state,
    surroundings,
    terminal,
  })
  const lacking = ended.result.pending.length > 0 ? await lackingForTimer(client, surroundings) : undefined
  if (lacking !== undefined) terminal.warning(lacking)
  return lacking === undefined
    ? ended
    : { ...ended, result: { ...ended.result, warnings: [...ended.result.warnings, lacking] } }
}

/** The targets, or what is wrong with them: a mistake there must not lose a certificate that is handed over only once. */
const usableTargets = async (
  wish: Wish,
  reach: Reach,
  bundle: CertificateBundle,
): Promise<readonly DeployTarget[] | CertError> => {
  try {
    const targets = reach.targets(await wantedTargets(wish, bundle))
    requireUseful(bundle.names, targets)
    return targets
  } catch (error) {
    return toCertError(error)
  }
}

interface Unresolved {
  readonly bundle: CertificateBundle
  readonly why: CertError
  readonly state: StateFolder | CertError
  readonly wish: Wish
  readonly warnings: readonly string[]
}

const keep = async ({ bundle, why, state, wish, warnings }: Unresolved): Promise<Ended> => {
  const { surroundings, terminal } = wish
  for (const warning of warnings) terminal.warning(warning)
  terminal.failure(why.message, why.hint)
  if (state instanceof CertError) throw state
  const { now, signal } = surroundings
  const pending = await keepUnresolved({ bundle, state, now, signal }, why)
  const isRecorded = pending.length > 0
  terminal.progress(
    isRecorded
      ? `the certificate of ${bundle.name} has been recorded; once that is mended: acme-oss sync --now`
      : `${bundle.name} was rolled back from this certificate, so it has not been recorded`,
  )
  const result: ResultJson = {
    ...emptyResult,
    certificate: certificateJson(bundle),
    pending: pending.map(pendingJson),
    warnings,
    error: errorJson(why),
  }
  return { result, status: exitCodes.failed }
}

const emptyResult: ResultJson = {
  schema: 'acme-oss/1',
  command: name,
  ok: false,
  certificate: null,
  stages: [],
  pending: [],
  warnings: [],
  error: null,
}

const refusedOne = (terminal: Terminal, thrown: unknown): Ended => {
  const error = toCertError(thrown)
  terminal.failure(error.message, error.hint)
  return {
    result: { ...emptyResult, error: errorJson(error) },
    status: isInputError(error) ? exitCodes.refused : exitCodes.failed,
  }
}

/** What a call that hands over several certificates, or none, prints. */
const allOf = (ended: readonly Ended[]) => ({
  schema: emptyResult.schema,
  command: name,
  ok: ended.every(({ result }) => result.ok),
  results: ended.map(({ result }) => result),
  warnings: [],
  error: null,
})

const statusOfAll = (ended: readonly Ended[]): number => {
  const statuses = new Set(ended.map(({ status }) => status))
  if (statuses.size === 0) return exitCodes.done
  const [first = exitCodes.done] = statuses
  return statuses.size === 1
    ? first
    : statuses.has(exitCodes.done) || statuses.has(exitCodes.partly)
      ? exitCodes.partly
      : exitCodes.failed
}

// What acme.sh's users on Alibaba Cloud have in its configuration already.
const acmeShVariables = {
  ALIBABA_CLOUD_ACCESS_KEY_ID: 'Ali_Key',
  ALIBABA_CLOUD_ACCESS_KEY_SECRET: 'Ali_Secret',
} as const

const credentialVariables = (client: string, { environment }: Surroundings): Surroundings['environment'] => {
  const { Ali_Key: id, Ali_Secret: secret } = environment
  if (client !== 'acme.sh' || environment['ALIBABA_CLOUD_ACCESS_KEY_ID'] || !id || !secret) return environment
  return {
    ...environment,
    ALIBABA_CLOUD_ACCESS_KEY_ID: id,
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: secret,
    ALIBABA_CLOUD_SECURITY_TOKEN: undefined,
  }
}

const timerEnvironment = '/etc/acme-oss/env'

/** A timer does not have what only this process was given. */
const lackingForTimer = async (client: string, { environment }: Surroundings): Promise<string | undefined> => {
  const variable = Object.entries(acmeShVariables)
    .flatMap(([own, theirs]) => (client === 'acme.sh' ? [own, theirs] : [own]))
    .find((one) => environment[one])
  if (variable === undefined) return undefined
  const file = await readFile(timerEnvironment, 'utf8').catch(() => '')
  if (/^\s*ALIBABA_CLOUD_ACCESS_KEY_ID\s*=\s*\S/m.test(file)) return undefined
  return `the credentials came from this call's environment (${variable}), which acme-oss sync will not have: write them into ${timerEnvironment}`
}
