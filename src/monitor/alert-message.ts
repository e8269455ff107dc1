import type { Firing, News, Recovered } from './alerts.js'

/** What goes to one receiver. */
export interface Message extends News {
  /** The machine that says so. */
  readonly host: string
  readonly at: Date
  /** Only to see whether it arrives. */
  readonly isTest: boolean
}

// As much as anybody reads.
const mostLines = 20
const longestLine = 400

/**
 * The message as lines of plain text.
 * @param limit how long it may be, in bytes of UTF-8
 * @param guarded makes a text mean nothing to the receiver but itself
 */
export const plainText = (message: Message, limit: number, guarded = unaddressed): string => {
  const lines = linesOf(message).map((line) => guarded(oneLine(line)))
  const [head = '', ...all] = lines
  const shown: string[] = []
  // Room for the line that says how many are left out.
  let left = limit - sizeOf(head) - 60
  for (const line of all.slice(0, mostLines)) {
    left -= sizeOf(line) + 1
    if (left < 0) break
    shown.push(line)
  }
  const more = all.length - shown.length
  return [head, ...shown, ...(more > 0 ? [`and ${more} more: acme-oss status shows them all`] : [])].join('\n')
}

const linesOf = ({ host, isTest, firing, recovered }: Message): string[] => {
  if (isTest)
    return [`acme-oss on ${host}: this is a test. Whatever is wrong with certificates here will be told here.`]
  const counts = [
    ...(firing.length > 0 ? [`${firing.length} to see to`] : []),
    ...(recovered.length > 0 ? [`${recovered.length} recovered`] : []),
  ]
  return [`acme-oss on ${host}: ${counts.join(', ')}`, ...firing.map(firingLine), ...recovered.map(recoveredLine)]
}

const firingLine = ({ isAgain, sentence, hint }: Firing): string => {
  const what = cut(sentence, longestLine)
  return `${isAgain ? 'still' : 'failing'}: ${what}${hint === undefined ? '' : ` (what to do: ${cut(hint, longestLine / 2)})`}`
}

const recoveredLine = ({ sentence }: Recovered): string => `recovered: ${cut(sentence, longestLine)}`

const cut = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length - 1).replace(/[\ud800-\udbff]$/, '')}…` : text

const sizeOf = (text: string): number => Buffer.byteLength(text)

/** What names and vendors' answers may hold must neither begin a line of its own nor turn round what stands beside it. */
const oneLine = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ')

/** Nobody is called by it: neither `@all` nor `<at user_id="all">`. */
const unaddressed = (text: string): string => text.replaceAll('@', '＠').replaceAll('<', '‹').replaceAll('>', '›')
