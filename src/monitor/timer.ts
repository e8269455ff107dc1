import { readFile } from 'node:fs/promises'
import { CertError } from '../errors.js'
import { runProgram } from '../program.js'
import type { Situation } from './situation.js'

/** What calls `acme-oss renew` on this machine. */
export type Timer =
  | { readonly kind: 'systemd'; readonly isEnabled: boolean; readonly isActive: boolean }
  | { readonly kind: 'cron'; readonly where: string }
  | { readonly kind: 'none' }

export const timerUnit = 'acme-oss-renew.timer'

const known = new WeakMap<Situation, Promise<Timer>>()

/** Looked for once, whoever asks. */
export const timerOf = (situation: Situation, signal: AbortSignal): Promise<Timer> => {
  const looking = known.get(situation) ?? look(situation, signal)
  known.set(situation, looking)
  return looking
}

const look = async (situation: Situation, signal: AbortSignal): Promise<Timer> => {
  const unit = await printed(['systemctl', 'show', timerUnit, '--property=LoadState,UnitFileState,ActiveState'], {
    situation,
    signal,
  })
  const systemd = unit === undefined ? undefined : readUnit(unit)
  if (systemd !== undefined) return systemd
  const { cron } = situation.timer
  if (callsUs(await readFile(cron, 'utf8').catch(() => ''))) return { kind: 'cron', where: cron }
  const own = await printed(['crontab', '-l'], { situation, signal })
  return callsUs(own ?? '') ? { kind: 'cron', where: "this user's crontab" } : { kind: 'none' }
}

/** A line that is no comment, and calls what looks for what is due. */
const callsUs = (text: string): boolean => /^\s*[^#\s].*acme-oss.*\s(renew|sync)\b/m.test(text)

/** Undefined where there is no such unit. */
export const readUnit = (text: string): Timer | undefined => {
  const states = Object.fromEntries(text.split('\n').map((line) => line.trim().split('=', 2)))
  if (states['LoadState'] !== 'loaded') return undefined
  return {
    kind: 'systemd',
    isEnabled: /^enabled/.test(states['UnitFileState'] ?? ''),
    isActive: states['ActiveState'] === 'active',
  }
}

// For a program that only says what there is, in ms.
const timeout = 3000

/** Undefined where there is no such program, or nothing that it could say. */
const printed = async (
  words: readonly string[],
  { situation, signal }: { readonly situation: Situation; readonly signal: AbortSignal },
): Promise<string | undefined> => {
  const { PATH, HOME } = situation.process.environment
  const environment = { LC_ALL: 'C', ...(PATH !== undefined && { PATH }), ...(HOME !== undefined && { HOME }) }
  try {
    return await runProgram(words, { environment, timeout, signal })
  } catch (error) {
    if (error instanceof CertError && error.code === 'PROGRAM_FAILED') return undefined
    throw error
  }
}
