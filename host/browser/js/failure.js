/** Why there is no answer. */
export class Failure extends Error {
  /** `trigger` is one of the words of `fallback.on`, or undefined where the request itself is wrong. */
  constructor(message, trigger) {
    super(message);
    this.name = "Failure";
    this.trigger = trigger;
  }
}
