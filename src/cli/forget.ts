import { CertError } from '../errors.js'
import { CertificateStore, certificateNames, type DeploySettings } from '../state/certificates.js'
import type { TargetRecord } from '../state/deployment-record.js'
import { Deployment, readDeployments, removeDamaged } from '../state/deployments.js'
import { withLock } from '../state/lock.js'
import { StateFolder } from '../state/state-folder.js'
import { defineCommand, exitCodes } from './command.js'
import { commonFlags, stateRoot } from './common-flags.js'
import { printable } from './deployment.js'
import { printJson } from './json.js'
import { chosenNames } from './sync.js'
import type { AskedTarget } from './target-flags.js'
import { Terminal, wantsColor } from './terminal.js'
import { targetName } from './wanted-targets.js'

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
    const wait = (owner: string): void =>
      terminal.progress(`waiting for ${owner}, which is at work on ${printable(name)}`)
    const waiting = { signal: surroundings.signal, onWait: wait }
    const forgotten = await withLock(state, name, waiting, () => forget(state, name, target, surroundings.now))
    const isRenewed = await withLock(state, `issue ${name}`, waiting, () =>
      new CertificateStore(state, name).forget(target === undefined ? undefined : (one) => isOn(target, one)),
    )
    if (isRenewed && target === undefined) forgotten.push('its renewal')
    if (values.json) {
      terminal.result(printJson({ schema: 'acme-oss/1', command: 'forget', ok: true, name, forgotten, error: null }))
    } else if (forgotten.length === 0) terminal.result(`${printable(name)}: nothing was wanted any more`)
    else terminal.result(`${printable(name)}: no longer wanted: ${forgotten.join(', ')}`)
    return exitCodes.done
  },
})

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
  const { records, damaged } = await readDeployments(state, name)
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
  return [...new Set(forgotten)]
}
