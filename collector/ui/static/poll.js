// Asks again and again: a period after each answer, not while the page is hidden, at once when told to.

export class Poll {
  #task; #period; #timer = null; #running = null;

  // `task(signal)` asks and draws. It reports its own failures.
  constructor(period_milliseconds, task) {
    this.#period = period_milliseconds;
    this.#task = task;
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.now(); });
  }

  // Drops what is under way and asks anew: what it would have answered is no longer the question.
  now() {
    this.#running?.abort();
    clearTimeout(this.#timer);
    this.#run();
  }

  async #run() {
    const running = new AbortController();
    this.#running = running;
    try {
      await this.#task(running.signal);
    } catch (error) {
      if (!running.signal.aborted) throw error;
    } finally {
      if (this.#running === running) this.#timer = setTimeout(() => this.#again(), this.#period);
    }
  }

  #again() {
    if (document.hidden) return;
    this.#run();
  }
}
