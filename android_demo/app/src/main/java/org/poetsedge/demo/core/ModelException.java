package org.poetsedge.demo.core;

/** A model that this app cannot run. The message is one line, for the person holding the phone. */
public final class ModelException extends Exception {
    private static final long serialVersionUID = 1L;

    public ModelException(String message) {
        super(message);
    }

    public ModelException(String message, Throwable cause) {
        super(message, cause);
    }
}
