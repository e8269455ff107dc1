import { certificateNamed } from '../config/config.js'
import { CertError } from '../errors.js'
import { isStandby, standbyName } from '../standby-name.js'
import { CertificateStore, certificateNames, type DeploySettings } from '../state/certificates.js'
import type { TargetRecord } from '../state/deployment-record.js'
import { adoptHold, Deployment, readDeployments, removeDamaged } from '../state/deployments.js'
import { endHold } from '../state/hold.js'
import { type LockOptions, withLock } from '../state/lock.js'
import { StateFolder } from '../state/state-folder.js'
import { defineCommand, exitCodes, type Surroundings } from './command.js'
import { type Common, commonFlags, stateRoot } from './common-flags.js'
import { printable } from './deployment.js'
import { printJson } from './json.js'
import { chosenNames } from './sync.js'
import type { AskedTarget } from './target-flags.js'
import { Terminal, wantsColor } from './terminal.js'
import { openConfig, targetName } from './wanted-targets.js'

export const command = defineCommand({
  name: 'forget',
  summary:
    'A certificate is no longer wanted, everywhere or on one target: what is open is not done any more, what is done is not watched any more. What is in place stays there; the recorded key is removed.',
  flags: commonFlags,
  words: { usage: 'NAME [TARGET]', least: 1, most: 2 },
  examples: [
    ['acme-oss forget old.example.com', 'all of it'],
    ["acme-oss forget example.com 'oss my-ssl-certs/certs/example.com/'", 'one target, as acme-oss status names it'],
  ],
  run: async (values, surroundings, { words }) => {
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    const [name = '', target] = words
    const root = stateRoot(values, surroundings)
    const isIssued = certificateNames(StateFolder.at(root)).includes(name)
    if (!isIssued) await chosenNames(StateFolder.at(root), [name])
    const state = await StateFolder.open(root)
    const { now, signal } = surroundings
    const onWait = (owner: string): void =>
      terminal.progress(`waiting for ${owner}, which is at work on ${printable(name)}`)
    const work = { state, target, now, waiting: { signal, onWait } }
    const isConfigured = target === undefined && (await isInConfig(state, name, values, surroundings))
    const forgotten = await forgetOne(name, work)
    // What stands by for it is of no use without it.
    if (target === undefined) forgotten.push(...(await forgetOne(standbyName(name), work)))
    const warnings = isConfigured
      ? [`the configuration still has ${printable(name)} issued, and renew goes by it: take the entry out as well`]
      : []
    for (const warning of warnings) terminal.warning(warning)
    if (values.json) {
      terminal.result(
        printJson({ schema: 'acme-oss/1', command: 'forget', ok: true, name, forgotten, warnings, error: null }),
      )
    } else if (forgotten.length === 0) terminal.result(`${printable(name)}: nothing was wanted any more`)
    else terminal.result(`${printable(name)}: no longer wanted: ${forgotten.join(', ')}`)
    return exitCodes.done
  },
})

interface Work {
  readonly state: StateFolder
  readonly target: string | undefined
  readonly now: () => Date
  readonly waiting: LockOptions
}

/** What is wanted of it anywhere, and its renewal. @returns what was wanted and is not any more */
const forgetOne = async (name: string, { state, target, now, waiting }: Work): Promise<string[]> => {
  const forgotten = await withLock(state, name, waiting, () => forget(state, name, target, now))
  const store = new CertificateStore(state, name)
  const isRenewed = await withLock(state, `issue ${name}`, waiting, async () => {
    if (target !== undefined) return await store.forget((one) => isOn(target, one))
    const isChanged = await store.forget(undefined)
    await store.removeKeys()
    return isChanged
  })
  if (isRenewed && target === undefined) forgotten.push(isStandby(name) ? `the renewal of ${name}` : 'its renewal')
  return forgotten
}

/** Is it issued by an entry, which would have it issued again? Where that cannot be read, what is remembered says. */
const isInConfig = async (
  state: StateFolder,
  name: string,
  values: Common,
  surroundings: Surroundings,
): Promise<boolean> => {
  try {
    const config = await openConfig(values, surroundings, false)
    return config !== undefined && certificateNamed(config, name)?.issue !== undefined
  } catch {
    return (await new CertificateStore(state, name).read())?.configured === true
  }
}

const isOn = (target: string, { kind, settings }: DeploySettings): boolean =>
  kind === target || nameOf({ kind, settings }) === target

/** What cannot be made any more has no name. */
const nameOf = (asked: AskedTarget): string | undefined => {
  try {
    return targetName(asked)
  } catch {
    return undefined
  }
}

/** @returns what was wanted and is not any more */
const forget = async (
  state: StateFolder,
  name: string,
  target: string | undefined,
  now: () => Date,
): Promise<string[]> => {
  await adoptHold(state, name)
  const { records, damaged } = await readDeployments(state, name)
  const isHeld = target === undefined && (await endHold(state, name))
  const known = [...new Set(records.flatMap(({ targets }) => Object.values(targets).map((one) => one.name)))]
  const isMeant = (one: TargetRecord): boolean => target === undefined || one.name === target || one.kind === target
  if (target !== undefined && !records.some(({ targets }) => Object.values(targets).some(isMeant))) {
    throw new CertError('USAGE', `${name} was never wanted on "${target}"`, {
      hint: known.length === 0 ? `acme-oss forget ${name}` : `one of: ${known.join(', ')}`,
    })
  }
  const forgotten: string[] = []
  for (const record of records) {
    const deployment = new Deployment(state, record, now)
    forgotten.push(...deployment.forget(isMeant, target === undefined))
    await deployment.settle()
  }
  if (target === undefined) {
    for (const one of damaged) {
      await removeDamaged(state, name, one)
      forgotten.push(`the damaged record ${one.path}`)
    }
  }
  if (isHeld) forgotten.push('its hold')
  return [...new Set(forgotten)]
}
