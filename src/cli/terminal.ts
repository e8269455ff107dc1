import { styleText } from 'node:util'
import { redact } from '../secret.js'
import type { Surroundings } from './command.js'

type Style = Parameters<typeof styleText>[0]

export interface TerminalOptions {
  readonly verbose: boolean
  readonly quiet: boolean
  readonly color: boolean
}

/**
 * What a person reads. Results go to standard output, everything else to standard error; nothing leaves without having
 * been cleared of every secret of this process.
 */
export class Terminal {
  readonly #surroundings: Surroundings
  readonly #options: TerminalOptions
  readonly #running = new Set<string>()
  #spinner: NodeJS.Timeout | undefined
  #frame = 0

  constructor(surroundings: Surroundings, options: TerminalOptions) {
    this.#surroundings = surroundings
    this.#options = options
  }

  /** A result. */
  result(line: string): void {
    this.#clearSpinner()
    this.#surroundings.output.write(`${redact(line)}\n`)
  }

  /** How things are going. */
  progress(line: string): void {
    if (!this.#options.quiet) this.#error(line)
  }

  /** What only somebody who looks for a fault wants to see. */
  detail(line: string): void {
    if (this.#options.verbose) this.#error(this.paint('dim', `  ${line}`))
  }

  warning(line: string): void {
    this.#error(`${this.paint('yellow', 'warning:')} ${line}`)
  }

  failure(line: string, hint: string | undefined): void {
    this.#error(`${this.paint('red', 'error:')} ${line}`)
    if (hint !== undefined) this.#error(`  ${this.paint('bold', 'what to do:')} ${hint}`)
  }

  paint(style: Style, line: string): string {
    return this.#options.color ? styleText(style, line) : line
  }

  /** Shows on a terminal that something is under way, until `stop`. */
  start(what: string): void {
    this.#running.add(what)
    if (!this.#surroundings.isTerminal || this.#options.quiet) return
    this.#spinner ??= setInterval(() => this.#spin(), 100).unref()
  }

  stop(what: string): void {
    this.#running.delete(what)
    this.#clearSpinner()
    if (this.#running.size > 0) return
    clearInterval(this.#spinner)
    this.#spinner = undefined
  }

  #spin(): void {
    const frames = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'
    this.#frame = (this.#frame + 1) % frames.length
    const what = redact([...this.#running].join(', ')).slice(0, 100)
    this.#surroundings.errors.write(`\r\u001b[2K${frames[this.#frame]} ${what}`)
  }

  #clearSpinner(): void {
    if (this.#spinner !== undefined) this.#surroundings.errors.write('\r\u001b[2K')
  }

  #error(line: string): void {
    this.#clearSpinner()
    this.#surroundings.errors.write(`${redact(line)}\n`)
  }
}

export const wantsColor = (noColor: boolean, { environment, isTerminal }: Surroundings): boolean =>
  !noColor && !environment['NO_COLOR'] && isTerminal && environment['TERM'] !== 'dumb'
